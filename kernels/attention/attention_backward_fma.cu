// Backward in float: one kernel for dq, whose blocks take a tile of queries and go through the keys, and one
// for dk and dv, whose blocks take a tile of keys and go through the queries of every head that shares them.
// Made to be right and readable rather than fast.
#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/attention_fma.cuh"
#include "kernels/attention/attention_launch.cuh"

namespace prospect::kernels::cuda {
namespace {

/// Products do v^T become ds = p (do v^T - D), scores become p = exp2(scale score - lse). Both are 0 where a
/// query does not see a key.
__device__ inline void differentiate(float& score, float& ds, const AttentionConstants& constants,
                                     RowStatistics row, int behind) {
  const bool sees = behind >= 0 && behind < constants.window;
  score = sees ? ptx::exp2_approximate(fmaf(score, constants.scale_log2, -row.lse)) : 0.0f;
  ds = score * (ds - row.dot);
}

/// dq, and the rows' statistics into scratch.
template <int kTile>
__global__ void __launch_bounds__(kSide* kSide, 1)
    attention_backward_queries_kernel(AttentionBackward<float> args, AttentionConstants constants) {
  using Rows = FmaTile<kTile>;
  constexpr int kRows = Rows::kRows;
  extern __shared__ __align__(16) float shared_floats[];
  SequenceTile tile;
  if (!find_tile<false>(args.problem, kTile, blockIdx.x, tile)) return;

  const int head_dim = static_cast<int>(args.problem.head_dim), head = blockIdx.y;
  const int kv_head = head / constants.group;
  const int64_t first_token = tile.query_begin + tile.first;
  const float* k = args.k + tile.key_begin * args.k_stride + kv_head * head_dim;
  const float* v = args.v + tile.key_begin * args.v_stride + kv_head * head_dim;
  const int64_t o_at = first_token * args.o_stride + head * head_dim;
  const int64_t q_at = first_token * args.q_stride + head * head_dim;
  float *queries = shared_floats, *gradients = queries + Rows::tile_floats(head_dim),
        *keys = gradients + Rows::tile_floats(head_dim), *values = keys + Rows::tile_floats(head_dim),
        *weights = values + Rows::tile_floats(head_dim);
  Rows::load(queries, args.q + q_at, args.q_stride, tile.rows, head_dim);
  Rows::load(gradients, args.d_o + o_at, args.o_stride, tile.rows, head_dim);

  RowStatistics statistics[kRows] = {};
  Rows::for_vectors(head_dim, [&](int r, int, int row, int column) {
    if (row >= tile.rows) return;
    float left[4], right[4];
    load_vector(args.d_o + o_at + row * args.o_stride + column, left);
    load_vector(args.o + o_at + row * args.o_stride + column, right);
#pragma unroll
    for (int e = 0; e < 4; ++e) statistics[r].dot += left[e] * right[e];
  });
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int row = threadIdx.y + kSide * r;
    const int64_t at = int64_t{head} * constants.tokens + first_token + row;
    statistics[r].dot = row_sum(statistics[r].dot);
    statistics[r].lse = row < tile.rows ? args.lse[at] * kLog2E : INFINITY;
    if (threadIdx.x == 0 && row < tile.rows) {
      reinterpret_cast<RowStatistics*>(args.scratch)[at] = statistics[r];
    }
  }

  typename Rows::Sums dq;
  Rows::clear(dq);
  const int end = tile.last_key(tile.first + tile.rows - 1) + 1;
  const int begin = max(0, tile.last_key(tile.first) + 1 - constants.window) / kTile * kTile;
  for (int first_key = begin; first_key < end; first_key += kTile) {
    __syncthreads();
    Rows::load(keys, k + first_key * args.k_stride, args.k_stride, tile.keys - first_key, head_dim);
    Rows::load(values, v + first_key * args.v_stride, args.v_stride, tile.keys - first_key, head_dim);
    __syncthreads();
    typename Rows::Scores p, ds;
    Rows::multiply_by_rows(p, queries, keys, head_dim);
    Rows::multiply_by_rows(ds, gradients, values, head_dim);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int s = 0; s < kRows; ++s) {
        const int key = first_key + static_cast<int>(threadIdx.x) + kSide * s;
        const int behind = tile.last_key(tile.first + threadIdx.y + kSide * r) - key;
        differentiate(p[r][s], ds[r][s], constants, statistics[r], behind);
      }
    }
    Rows::store_weights(weights, ds);
    __syncwarp();  // a row of weights is used by the warp that wrote it
    Rows::add_weighted(dq, weights, keys, head_dim);
  }
  float factor[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) factor[r] = constants.scale;
  Rows::put(dq, factor, args.dq + q_at, args.q_stride, tile.rows, head_dim, args.mode);
}

/// dk and dv, with the rows' statistics from scratch.
template <int kTile>
__global__ void __launch_bounds__(kSide* kSide, 1)
    attention_backward_keys_kernel(AttentionBackward<float> args, AttentionConstants constants) {
  using Rows = FmaTile<kTile>;
  constexpr int kRows = Rows::kRows;
  extern __shared__ __align__(16) float shared_floats[];
  SequenceTile tile;
  if (!find_tile<true>(args.problem, kTile, blockIdx.x, tile)) return;

  const int head_dim = static_cast<int>(args.problem.head_dim), kv_head = blockIdx.y;
  const int group = constants.group;
  const int64_t first_key = tile.key_begin + tile.first;
  const int64_t k_at = first_key * args.k_stride + kv_head * head_dim;
  const int64_t v_at = first_key * args.v_stride + kv_head * head_dim;
  float *keys = shared_floats, *values = keys + Rows::tile_floats(head_dim),
        *queries = values + Rows::tile_floats(head_dim), *gradients = queries + Rows::tile_floats(head_dim),
        *weights = gradients + Rows::tile_floats(head_dim), *gradient_weights = weights + Rows::kWeightFloats;
  Rows::load(keys, args.k + k_at, args.k_stride, tile.rows, head_dim);
  Rows::load(values, args.v + v_at, args.v_stride, tile.rows, head_dim);

  typename Rows::Sums dk, dv;
  Rows::clear(dk);
  Rows::clear(dv);
  const int behind_first = tile.keys - tile.queries - tile.first;
  const int begin = max(0, -behind_first) / kTile * kTile;
  const int end = min(tile.queries, tile.rows - 1 - behind_first + constants.window);
  for (int head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    for (int first_query = begin; first_query < end; first_query += kTile) {
      const int64_t first_token = tile.query_begin + first_query;
      const int count = tile.queries - first_query;
      __syncthreads();
      Rows::load(queries, args.q + first_token * args.q_stride + head * head_dim, args.q_stride, count,
                 head_dim);
      Rows::load(gradients, args.d_o + first_token * args.o_stride + head * head_dim, args.o_stride, count,
                 head_dim);
      __syncthreads();
      typename Rows::Scores p, ds;
      Rows::multiply_by_rows(p, keys, queries, head_dim);
      Rows::multiply_by_rows(ds, values, gradients, head_dim);
#pragma unroll
      for (int s = 0; s < kRows; ++s) {
        const int query = static_cast<int>(threadIdx.x) + kSide * s;
        const int64_t at = int64_t{head} * constants.tokens + first_token + query;
        const RowStatistics row = query < count ? reinterpret_cast<const RowStatistics*>(args.scratch)[at]
                                                : RowStatistics{INFINITY, 0};
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          const int behind = first_query + query + behind_first - (static_cast<int>(threadIdx.y) + kSide * r);
          differentiate(p[r][s], ds[r][s], constants, row, behind);
        }
      }
      Rows::store_weights(weights, p);
      Rows::store_weights(gradient_weights, ds);
      __syncwarp();  // a row of weights is used by the warp that wrote it
      Rows::add_weighted(dv, weights, gradients, head_dim);
      Rows::add_weighted(dk, gradient_weights, queries, head_dim);
    }
  }
  float factor[kRows], one[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) factor[r] = constants.scale, one[r] = 1;
  Rows::put(dk, factor, args.dk + k_at, args.k_stride, tile.rows, head_dim, args.mode);
  Rows::put(dv, one, args.dv + v_at, args.v_stride, tile.rows, head_dim, args.mode);
}

template <int kTile>
void backward(const AttentionBackward<float>& args, Stream stream) {
  using Rows = FmaTile<kTile>;
  const AttentionProblem& problem = args.problem;
  const int floats = 4 * Rows::tile_floats(static_cast<int>(problem.head_dim)) + 2 * Rows::kWeightFloats;
  const int shared_bytes = floats * static_cast<int>(sizeof(float));
  const dim3 threads(kSide, kSide);
  launch_tiles(
      attention_backward_queries_kernel<kTile>,
      dim3(most_tiles(problem.tokens, problem.sequences, kTile), static_cast<unsigned>(problem.heads)),
      threads, shared_bytes, stream, args);
  launch_tiles(
      attention_backward_keys_kernel<kTile>,
      dim3(most_tiles(problem.key_rows, problem.sequences, kTile), static_cast<unsigned>(problem.kv_heads)),
      threads, shared_bytes, stream, args);
}

}  // namespace

void attention_backward_fma(const AttentionBackward<float>& args, Stream stream) {
  args.problem.head_dim <= FmaTile<32>::kWidest ? backward<32>(args, stream) : backward<16>(args, stream);
}

}  // namespace prospect::kernels::cuda
