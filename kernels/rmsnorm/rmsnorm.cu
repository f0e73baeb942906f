// Rows in registers: forward reads x once and writes y once; backward reads x and dy once and writes dx once.
// A block takes consecutive rows, with the weight in shared memory; in backward it keeps its sums for dweight
// in registers too, which go to scratch once, and a second kernel adds them in block order.
#include "kernels/common/column_sums.cuh"
#include "kernels/common/cuda_check.h"
#include "kernels/common/row.cuh"
#include "kernels/rmsnorm/rmsnorm.h"

namespace prospect::kernels::cuda {
namespace {

template <class T, bool kVectors>
__global__ void __launch_bounds__(kMostRowThreads, 2) rmsnorm_forward_kernel(RmsNormForward<T> args) {
  // Two buffers in turn: the barrier of the next row keeps slow readers and the writers after it apart.
  __shared__ float partial[2][1][kWarp];
  extern __shared__ float row_room[];
  const TeamStage weight{row_room};
  const int columns = static_cast<int>(args.columns);
  const RowSlice<T, kVectors> slice{columns};
  weight.keep(slice, args.weight);

  const auto [begin, end] = team_rows(args.rows);
  for (int64_t row = begin; row < end; ++row) {
    float x[kRowValues];
    slice.load(args.x + row * columns, x);
    float squares[1] = {0};
#pragma unroll
    for (int i = 0; i < kRowValues; ++i) squares[0] += x[i] * x[i];
    team_sums(squares, partial[(row - begin) % 2]);
    const float mean = squares[0] / static_cast<float>(columns);
    const float rstd = 1 / sqrtf(mean + static_cast<float>(args.epsilon));
#pragma unroll
    for (int i = 0; i < kRowValues; ++i) x[i] *= rstd * weight.kept(i);
    slice.store(args.y + row * columns, x);
    if (threadIdx.x == 0) args.rstd[row] = rstd;
  }
}

/// dx of a block's rows, and its sums for dweight in scratch [blocks, columns].
template <class T, bool kVectors>
__global__ void __launch_bounds__(kMostRowThreads) rmsnorm_backward_kernel(RmsNormBackward<T> args) {
  __shared__ float partial[2][1][kWarp];
  __shared__ float block_room[kStagedBlock];
  const TeamStage stage{block_room};
  const int columns = static_cast<int>(args.columns);
  const RowSlice<T, kVectors> slice{columns};
  float dweight[kRowValues] = {};
  stage.keep(slice, args.weight);  // until the end, where the sums need the room

  const auto [begin, end] = team_rows(args.rows);
  for (int64_t row = begin; row < end; ++row) {
    const float rstd = args.rstd[row];
    float x[kRowValues], g[kRowValues];
    slice.load(args.x + row * columns, x);
    slice.load(args.dy + row * columns, g);
    float sum[1] = {0};  // of g * x^
#pragma unroll
    for (int i = 0; i < kRowValues; ++i) {
      x[i] *= rstd;
      dweight[i] += g[i] * x[i];
      g[i] *= stage.kept(i);
      sum[0] += g[i] * x[i];
    }
    if (args.dx_mode == GradMode::Ignore) continue;
    team_sums(sum, partial[(row - begin) % 2]);
    const float mean = sum[0] / static_cast<float>(columns);
#pragma unroll
    for (int i = 0; i < kRowValues; ++i) g[i] = rstd * (g[i] - x[i] * mean);
    slice.put(args.dx + row * columns, g, args.dx_mode);
  }
  if (args.dweight_mode == GradMode::Ignore) return;
  stage.add(dweight);
  if (threadIdx.y == 0) slice.store_sums(args.scratch + blockIdx.x * args.columns, dweight);
}

void check_columns(int64_t columns) {
  if (columns > kLongestRow) {
    throw Error(ExitCode::BadConfig, "rmsnorm: rows of " + std::to_string(columns) +
                                         " elements; on CUDA at most " + std::to_string(kLongestRow));
  }
}

}  // namespace

template <class T>
void rmsnorm_forward(const RmsNormForward<T>& args, Stream stream) {
  if (args.rows == 0 || args.columns == 0) return;
  check_columns(args.columns);
  const bool vectors = rows_in_vectors<T>(args.columns, {args.x, args.y, args.weight});
  const auto kernel = vectors ? rmsnorm_forward_kernel<T, true> : rmsnorm_forward_kernel<T, false>;
  const dim3 teams = row_teams(args.columns);
  kernel<<<row_blocks(args.rows, teams, forward_blocks("rmsnorm_forward")), teams,
           sizeof(float) * staged_row(teams), stream>>>(args);
  check(cudaGetLastError(), "rmsnorm_forward");
}

template <class T>
void rmsnorm_backward(const RmsNormBackward<T>& args, Stream stream) {
  if (args.columns == 0) return;
  check_columns(args.columns);
  const dim3 teams = row_teams(args.columns);
  const int parts = row_blocks(args.rows, teams, most_parts("rmsnorm_backward"));
  if (parts > 0) {
    const bool vectors = rows_in_vectors<T>(args.columns, {args.x, args.dy, args.dx, args.weight}) &&
                         rows_in_vectors<float>(args.columns, {args.scratch});
    const auto kernel = vectors ? rmsnorm_backward_kernel<T, true> : rmsnorm_backward_kernel<T, false>;
    kernel<<<parts, teams, 0, stream>>>(args);
  }
  sum_parts(args.dweight, args.dweight_mode, args.scratch, parts, args.columns, stream);
  check(cudaGetLastError(), "rmsnorm_backward");
}

int64_t rmsnorm_backward_scratch_bytes(int64_t columns) {
  return most_parts("rmsnorm_backward") * columns * static_cast<int64_t>(sizeof(float));
}

template void rmsnorm_forward(const RmsNormForward<float>&, Stream);
template void rmsnorm_forward(const RmsNormForward<bf16>&, Stream);
template void rmsnorm_backward(const RmsNormBackward<float>&, Stream);
template void rmsnorm_backward(const RmsNormBackward<bf16>&, Stream);

}  // namespace prospect::kernels::cuda
