// One block per row, which its threads hold in registers: forward reads x once and writes y once; backward
// reads x and dy once and writes dx once. A block of backward takes consecutive rows and keeps its sums for
// dweight and dbias in registers too; they go to scratch once, and a second kernel adds them in block order.
#include "kernels/common/cuda_check.h"
#include "kernels/common/reduce.cuh"
#include "kernels/common/row.cuh"
#include "kernels/layernorm/layernorm.h"

namespace prospect::kernels::cuda {
namespace {

/// Most blocks of backward, and so the most partial sums of a column: enough for two blocks of 512 threads on
/// each multiprocessor of the largest devices, and a constant, so that sums do not depend on the device.
constexpr int kParts = 264;

template <class T, bool kVectors>
__global__ void __launch_bounds__(kMostRowThreads) layernorm_forward_kernel(LayerNormForward<T> args) {
  __shared__ float partial[2][1][kWarp];
  const int columns = static_cast<int>(args.columns);
  const RowSlice<T, kVectors> slice{columns};
  const int64_t row = blockIdx.x;

  float x[kRowValues];
  slice.load(args.x + row * columns, x);
  float sum[1] = {0};
#pragma unroll
  for (int i = 0; i < kRowValues; ++i) sum[0] += x[i];
  block_sums(sum, partial[0]);
  const float mean = sum[0] / static_cast<float>(columns);

  float squares[1] = {0};
#pragma unroll
  for (int i = 0; i < kRowValues; ++i) {
    x[i] -= mean;
    if (slice.has(i)) squares[0] += x[i] * x[i];
  }
  block_sums(squares, partial[1]);
  const float variance = squares[0] / static_cast<float>(columns);
  const float rstd = 1 / sqrtf(variance + static_cast<float>(args.epsilon));

  float weight[kRowValues], bias[kRowValues];
  slice.load(args.weight, weight);
  slice.load(args.bias, bias);
#pragma unroll
  for (int i = 0; i < kRowValues; ++i) x[i] = x[i] * rstd * weight[i] + bias[i];
  slice.store(args.y + row * columns, x);
  if (threadIdx.x == 0) {
    args.mean[row] = mean;
    args.rstd[row] = rstd;
  }
}

/// dx of a block's rows, and its sums for dweight and dbias in scratch [2, blocks, columns].
template <class T, bool kVectors>
__global__ void __launch_bounds__(kMostRowThreads) layernorm_backward_kernel(LayerNormBackward<T> args) {
  __shared__ float partial[2][2][kWarp];
  const int columns = static_cast<int>(args.columns);
  const RowSlice<T, kVectors> slice{columns};
  const int64_t begin = args.rows * blockIdx.x / gridDim.x, end = args.rows * (blockIdx.x + 1) / gridDim.x;
  const float share = 1 / static_cast<float>(columns);

  float dweight[kRowValues] = {}, dbias[kRowValues] = {};
  for (int64_t row = begin; row < end; ++row) {
    const float mean = args.mean[row], rstd = args.rstd[row];
    float x[kRowValues], g[kRowValues], weight[kRowValues];
    slice.load(args.x + row * columns, x);
    slice.load(args.dy + row * columns, g);
    slice.load(args.weight, weight);
    float sums[2] = {0, 0};  // of g and of g * x^
#pragma unroll
    for (int i = 0; i < kRowValues; ++i) {
      x[i] = (x[i] - mean) * rstd;
      dweight[i] += g[i] * x[i];
      dbias[i] += g[i];
      g[i] *= weight[i];
      sums[0] += g[i];
      sums[1] += g[i] * x[i];
    }
    // Two buffers in turn: the barrier of the next row keeps slow readers and the writers after it apart.
    block_sums(sums, partial[(row - begin) % 2]);
    if (args.dx_mode == GradMode::Ignore) continue;
#pragma unroll
    for (int i = 0; i < kRowValues; ++i) g[i] = rstd * (g[i] - sums[0] * share - x[i] * sums[1] * share);
    slice.put(args.dx + row * columns, g, args.dx_mode);
  }

  slice.store_sums(args.scratch + blockIdx.x * args.columns, dweight);
  slice.store_sums(args.scratch + (gridDim.x + blockIdx.x) * args.columns, dbias);
}

constexpr int kSumRows = 8;

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

void check_columns(int64_t columns) {
  if (columns > kLongestRow) {
    throw Error(ExitCode::BadConfig, "layernorm: rows of " + std::to_string(columns) +
                                         " elements; on CUDA at most " + std::to_string(kLongestRow));
  }
}

}  // namespace

template <class T>
void layernorm_forward(const LayerNormForward<T>& args, Stream stream) {
  if (args.rows == 0 || args.columns == 0) return;
  check_columns(args.columns);
  const bool vectors = rows_in_vectors<T>(args.columns, {args.x, args.y, args.weight, args.bias});
  const auto kernel = vectors ? layernorm_forward_kernel<T, true> : layernorm_forward_kernel<T, false>;
  kernel<<<static_cast<unsigned>(args.rows), row_threads(args.columns), 0, stream>>>(args);
  check(cudaGetLastError(), "layernorm_forward");
}

template <class T>
void layernorm_backward(const LayerNormBackward<T>& args, Stream stream) {
  if (args.rows == 0 || args.columns == 0) return;
  check_columns(args.columns);
  const bool vectors = rows_in_vectors<T>(args.columns, {args.x, args.dy, args.dx, args.weight}) &&
                       rows_in_vectors<float>(args.columns, {args.scratch});
  const int parts = static_cast<int>(std::min<int64_t>(args.rows, kParts));
  const auto kernel = vectors ? layernorm_backward_kernel<T, true> : layernorm_backward_kernel<T, false>;
  kernel<<<parts, row_threads(args.columns), 0, stream>>>(args);
  sum_parts(args.dweight, args.dweight_mode, args.scratch, parts, args.columns, stream);
  sum_parts(args.dbias, args.dbias_mode, args.scratch + parts * args.columns, parts, args.columns, stream);
  check(cudaGetLastError(), "layernorm_backward");
}

int64_t layernorm_backward_scratch_bytes(int64_t columns) {
  return 2 * kParts * columns * static_cast<int64_t>(sizeof(float));
}

template void layernorm_forward(const LayerNormForward<float>&, Stream);
template void layernorm_forward(const LayerNormForward<bf16>&, Stream);
template void layernorm_backward(const LayerNormBackward<float>&, Stream);
template void layernorm_backward(const LayerNormBackward<bf16>&, Stream);

}  // namespace prospect::kernels::cuda
