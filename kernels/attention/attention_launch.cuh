#pragma once

#include <cfloat>
#include <type_traits>

#include "kernels/attention/attention_sequence.cuh"
#include "kernels/common/cuda_check.h"

/// Launching the attention kernels.
namespace prospect::kernels::cuda {

/// Calls body(width, whole) with constants: the narrowest tile that holds the head dimension, and whether the
/// head dimension fills it.
template <class Body>
void with_width(int64_t head_dim, const Body& body) {
  const auto with = [&](auto width) {
    head_dim == width ? body(width, std::true_type()) : body(width, std::false_type());
  };
  if (head_dim <= 64) return with(std::integral_constant<int, 64>());
  if (head_dim <= 128) return with(std::integral_constant<int, 128>());
  with(std::integral_constant<int, 256>());
}

template <class Args>
void launch_tiles(void (*kernel)(Args, AttentionConstants), dim3 grid, dim3 threads, int shared_bytes,
                  Stream stream, const std::type_identity_t<Args>& args) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes), "attention");
  kernel<<<grid, threads, static_cast<size_t>(shared_bytes), stream>>>(args, AttentionConstants(args));
  check(cudaGetLastError(), "attention");
}

}  // namespace prospect::kernels::cuda
