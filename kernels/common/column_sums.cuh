#pragma once

#include "kernels/common/device_attribute.h"
#include "kernels/common/grad_mode.h"
#include "kernels/common/reduce.cuh"
#include "kernels/common/stream.h"
#include "kernels/common/vector_io.cuh"

/// Sums over rows, as gradients of weights are: a first kernel leaves partial sums of consecutive rows in
/// scratch [parts, columns], a second adds them in order of the parts.
namespace prospect::kernels::cuda {

/// Most parts: a block of 512 threads on each multiprocessor. So sums depend, in their last bits, on the kind
/// of device.
inline int most_parts(const char* operation) {
  return multiprocessors(operation);
}

inline constexpr int kSumRows = 8;

/// target[c] = sum over parts of part[c]: 32 columns a block, eight threads a column.
template <class T>
__global__ void sum_parts_kernel(T* target, GradMode mode, const float* part, int parts, int64_t columns) {
  __shared__ float partial[kSumRows][kWarp];
  const int64_t column = blockIdx.x * int64_t{kWarp} + threadIdx.x;
  float sum = 0;
  if (column < columns) {
    for (int i = threadIdx.y; i < parts; i += kSumRows) sum += part[i * columns + column];
  }
  partial[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= columns) return;
  sum = 0;
#pragma unroll
  for (int i = 0; i < kSumRows; ++i) sum += partial[i][threadIdx.x];
  if (mode == GradMode::Accumulate) sum += load_one(target + column);
  store_one(target + column, sum);
}

template <class T>
void sum_parts(T* target, GradMode mode, const float* part, int parts, int64_t columns, Stream stream) {
  if (mode == GradMode::Ignore) return;
  const auto blocks = static_cast<unsigned>((columns + kWarp - 1) / kWarp);
  sum_parts_kernel<<<blocks, dim3(kWarp, kSumRows), 0, stream>>>(target, mode, part, parts, columns);
}

}  // namespace prospect::kernels::cuda
