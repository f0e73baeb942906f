// Rows in registers: forward reads x once and writes y once; backward reads x and dy once and writes dx once.
// A block takes consecutive rows, with weight and bias in shared memory; in backward it keeps its sums for
// dweight and dbias in registers too, which go to scratch once, and a second kernel adds them in block order.
#include "kernels/common/column_sums.cuh"
#include "kernels/common/cuda_check.h"
#include "kernels/common/row.cuh"
#include "kernels/layernorm/layernorm.h"

namespace prospect::kernels::cuda {
namespace {

template <class T, bool kVectors>
__global__ void __launch_bounds__(kMostRowThreads, 2) layernorm_forward_kernel(LayerNormForward<T> args) {
  __shared__ float partial[2][1][kWarp];
  extern __shared__ float rows_room[];
  const TeamStage weight{rows_room}, bias{rows_room + kRowValues * blockDim.x};
  const int columns = static_cast<int>(args.columns);
  const RowSlice<T, kVectors> slice{columns};
  weight.keep(slice, args.weight);
  bias.keep(slice, args.bias);

  const auto [begin, end] = team_rows(args.rows);
  for (int64_t row = begin; row < end; ++row) {
    float x[kRowValues];
    slice.load(args.x + row * columns, x);
    float sum[1] = {0};
#pragma unroll
    for (int i = 0; i < kRowValues; ++i) sum[0] += x[i];
    team_sums(sum, partial[0]);
    const float mean = sum[0] / static_cast<float>(columns);

    float squares[1] = {0};
#pragma unroll
    for (int i = 0; i < kRowValues; ++i) {
      x[i] -= mean;
      if (slice.has(i)) squares[0] += x[i] * x[i];
    }
    team_sums(squares, partial[1]);
    const float variance = squares[0] / static_cast<float>(columns);
    const float rstd = 1 / sqrtf(variance + static_cast<float>(args.epsilon));

#pragma unroll
    for (int i = 0; i < kRowValues; ++i) x[i] = x[i] * rstd * weight.kept(i) + bias.kept(i);
    slice.store(args.y + row * columns, x);
    if (threadIdx.x == 0) {
      args.mean[row] = mean;
      args.rstd[row] = rstd;
    }
  }
}

/// dx of a block's rows, and its sums for dweight and dbias in scratch [2, blocks, columns].
template <class T, bool kVectors>
__global__ void __launch_bounds__(kMostRowThreads) layernorm_backward_kernel(LayerNormBackward<T> args) {
  __shared__ float partial[2][2][kWarp];
  __shared__ float block_room[kStagedBlock];
  const TeamStage stage{block_room};
  const int columns = static_cast<int>(args.columns);
  const RowSlice<T, kVectors> slice{columns};
  const auto [begin, end] = team_rows(args.rows);
  const float share = 1 / static_cast<float>(columns);

  float dweight[kRowValues] = {}, dbias[kRowValues] = {};
  stage.keep(slice, args.weight);  // until the end, where the sums need the room
  for (int64_t row = begin; row < end; ++row) {
    const float mean = args.mean[row], rstd = args.rstd[row];
    float x[kRowValues], g[kRowValues];
    slice.load(args.x + row * columns, x);
    slice.load(args.dy + row * columns, g);
    float sums[2] = {0, 0};  // of g and of g * x^
#pragma unroll
    for (int i = 0; i < kRowValues; ++i) {
      x[i] = (x[i] - mean) * rstd;
      dweight[i] += g[i] * x[i];
      dbias[i] += g[i];
      g[i] *= stage.kept(i);
      sums[0] += g[i];
      sums[1] += g[i] * x[i];
    }
    // Two buffers in turn: the barrier of the next row keeps slow readers and the writers after it apart.
    team_sums(sums, partial[(row - begin) % 2]);
    if (args.dx_mode == GradMode::Ignore) continue;
#pragma unroll
    for (int i = 0; i < kRowValues; ++i) g[i] = rstd * (g[i] - sums[0] * share - x[i] * sums[1] * share);
    slice.put(args.dx + row * columns, g, args.dx_mode);
  }

  stage.add(dweight);
  stage.add(dbias);
  if (threadIdx.y != 0) return;
  slice.store_sums(args.scratch + blockIdx.x * args.columns, dweight);
  slice.store_sums(args.scratch + (gridDim.x + blockIdx.x) * args.columns, dbias);
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
  const dim3 teams = row_teams(args.columns);
  const int bytes = 2 * staged_row(teams) * static_cast<int>(sizeof(float));
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
        "layernorm_forward");
  kernel<<<row_blocks(args.rows, teams, forward_blocks("layernorm_forward")), teams, bytes, stream>>>(args);
  check(cudaGetLastError(), "layernorm_forward");
}

template <class T>
void layernorm_backward(const LayerNormBackward<T>& args, Stream stream) {
  if (args.columns == 0) return;
  check_columns(args.columns);
  const dim3 teams = row_teams(args.columns);
  const int parts = row_blocks(args.rows, teams, most_parts("layernorm_backward"));
  if (parts > 0) {
    const bool vectors = rows_in_vectors<T>(args.columns, {args.x, args.dy, args.dx, args.weight}) &&
                         rows_in_vectors<float>(args.columns, {args.scratch});
    const auto kernel = vectors ? layernorm_backward_kernel<T, true> : layernorm_backward_kernel<T, false>;
    kernel<<<parts, teams, 0, stream>>>(args);
  }
  sum_parts(args.dweight, args.dweight_mode, args.scratch, parts, args.columns, stream);
  sum_parts(args.dbias, args.dbias_mode, args.scratch + parts * args.columns, parts, args.columns, stream);
  check(cudaGetLastError(), "layernorm_backward");
}

int64_t layernorm_backward_scratch_bytes(int64_t columns) {
  return 2 * most_parts("layernorm_backward") * columns * static_cast<int64_t>(sizeof(float));
}

template void layernorm_forward(const LayerNormForward<float>&, Stream);
template void layernorm_forward(const LayerNormForward<bf16>&, Stream);
template void layernorm_backward(const LayerNormBackward<float>&, Stream);
template void layernorm_backward(const LayerNormBackward<bf16>&, Stream);

}  // namespace prospect::kernels::cuda
