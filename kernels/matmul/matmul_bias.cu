// The gradient of a bias: sums over rows. A block has 128 columns and consecutive rows, a warp every eighth
// of these; one more kernel adds the blocks' sums.
#include "kernels/common/column_sums.cuh"
#include "kernels/common/cuda_check.h"
#include "kernels/matmul/matmul.h"

namespace prospect::kernels::cuda {
namespace {

constexpr int kWarps = 8, kUnderWay = 4;  ///< of a block; rows of a warp
constexpr int kWidth = 4, kColumns = kWarp * kWidth;
/// Blocks over all, or fewer: four on each multiprocessor of the largest devices, and a constant, so that
/// sums do not depend on the device.
constexpr int64_t kBlocks = 528, kMostParts = 132;

/// kFours: rows begin where load_four may read; a lane has neighbouring columns. Else neighbouring lanes do.
template <class T, bool kFours>
__global__ void __launch_bounds__(kWarps* kWarp)
    bias_parts_kernel(const T* dy, float* scratch, int64_t rows, int64_t columns) {
  __shared__ float partial[kWarps][kColumns];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int64_t strip = blockIdx.x * int64_t{kColumns};
  const int64_t begin = rows * blockIdx.y / gridDim.y, end = rows * (blockIdx.y + 1) / gridDim.y;
  const auto column_of = [&](int e) { return kFours ? lane * kWidth + e : lane + e * kWarp; };

  float sums[kWidth] = {};
  for (int64_t first = begin + warp; first < end; first += kWarps * kUnderWay) {
    float x[kUnderWay][kWidth] = {};
#pragma unroll
    for (int r = 0; r < kUnderWay; ++r) {
      const int64_t row = first + r * kWarps;
      if (row >= end) continue;
      const T* from = dy + row * columns + strip;
      if constexpr (kFours) {
        if (strip + column_of(0) < columns) load_four(from + column_of(0), x[r]);
      } else {
#pragma unroll
        for (int e = 0; e < kWidth; ++e) {
          if (strip + column_of(e) < columns) x[r][e] = load_one(from + column_of(e));
        }
      }
    }
#pragma unroll
    for (int r = 0; r < kUnderWay; ++r) {
#pragma unroll
      for (int e = 0; e < kWidth; ++e) sums[e] += x[r][e];
    }
  }
  if constexpr (kFours) {
    ptx::store_shared(ptx::shared_address(&partial[warp][column_of(0)]),
                      make_float4(sums[0], sums[1], sums[2], sums[3]));
  } else {
#pragma unroll
    for (int e = 0; e < kWidth; ++e) partial[warp][column_of(e)] = sums[e];
  }
  __syncthreads();
  if (threadIdx.x >= kColumns || strip + threadIdx.x >= columns) return;
  float sum = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) sum += partial[w][threadIdx.x];
  scratch[blockIdx.y * columns + strip + threadIdx.x] = sum;
}

int64_t strips_of(int64_t columns) {
  return (columns + kColumns - 1) / kColumns;
}
int64_t most_bias_parts(int64_t columns) {
  return std::clamp<int64_t>(kBlocks / strips_of(columns), 1, kMostParts);
}

}  // namespace

template <class T>
void matmul_bias_backward(const MatmulBiasBackward<T>& args, Stream stream) {
  if (args.dbias_mode == GradMode::Ignore || args.columns == 0) return;
  constexpr int64_t kRows = kWarps * kUnderWay;
  const int64_t parts = std::min(most_bias_parts(args.columns), (args.rows + kRows - 1) / kRows);
  if (parts > 0) {
    const auto kernel = in_fours<T>({args.dy}) && args.columns % kWidth == 0 ? bias_parts_kernel<T, true>
                                                                             : bias_parts_kernel<T, false>;
    const dim3 blocks(static_cast<unsigned>(strips_of(args.columns)), static_cast<unsigned>(parts));
    kernel<<<blocks, kWarps * kWarp, 0, stream>>>(args.dy, args.scratch, args.rows, args.columns);
  }
  sum_parts(args.dbias, args.dbias_mode, args.scratch, static_cast<int>(parts), args.columns, stream);
  check(cudaGetLastError(), "matmul_bias_backward");
}

int64_t matmul_bias_backward_scratch_bytes(int64_t columns) {
  return columns == 0 ? 0 : most_bias_parts(columns) * columns * static_cast<int64_t>(sizeof(float));
}

template void matmul_bias_backward(const MatmulBiasBackward<float>&, Stream);
template void matmul_bias_backward(const MatmulBiasBackward<bf16>&, Stream);

}  // namespace prospect::kernels::cuda
