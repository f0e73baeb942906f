#pragma once

#include <cudaTypedefs.h>
#include <cuda_runtime_api.h>

#include <array>

#include "kernels/common/cuda_check.h"

namespace prospect::kernels::cuda {

/// A tensor in global memory and the box of it that one copy moves; dimensions from the innermost on.
template <int kRank>
struct TensorBox {
  CUtensorMapDataType type;
  void* base;                              ///< a multiple of 16 bytes
  std::array<uint64_t, kRank> size;        ///< elements
  std::array<uint64_t, kRank - 1> stride;  ///< bytes, multiples of 16, of all dimensions but the innermost
  std::array<uint32_t, kRank> box;         ///< elements, at most 256 each
  CUtensorMapSwizzle swizzle;              ///< a row of the box is at most as many bytes as it permutes
};

/// What the copies of tma.cuh take. The driver's function is asked for by name, so that nothing links to it.
/// Throws Error(Bug) when the driver has none or refuses the arguments.
template <int kRank>
CUtensorMap tensor_map(const TensorBox<kRank>& of) {
  static PFN_cuTensorMapEncodeTiled_v12000 encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault,
                                           &found),
          "tensor_map");
    if (function == nullptr)
      throw Error(ExitCode::Bug, "tensor_map: the driver has no cuTensorMapEncodeTiled");
    return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
  }();
  CUtensorMap map;
  std::array<cuuint32_t, kRank> steps;
  steps.fill(1);
  const CUresult result = encode(&map, of.type, kRank, of.base, of.size.data(), of.stride.data(),
                                 of.box.data(), steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, of.swizzle,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    throw Error(ExitCode::Bug,
                "tensor_map: cuTensorMapEncodeTiled refuses the box, error " + std::to_string(result));
  }
  return map;
}

}  // namespace prospect::kernels::cuda
