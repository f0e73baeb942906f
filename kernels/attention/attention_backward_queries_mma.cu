// dq in bf16 on tensor cores: a block takes a tile of queries of one head and goes through the tiles of keys
// that they see, from the last to the first. It computes D = do . o of its rows on the way, which the kernel
// for dk and dv needs too.
#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/attention_launch.cuh"
#include "kernels/attention/attention_mma.cuh"

namespace prospect::kernels::cuda {
namespace {

template <int kWidth>
struct QueryTiles {
  static constexpr int kRowBlocks = kWidth <= 128 ? 2 : 1;  ///< of 16 queries, a warp
  static constexpr int kWarps = 4;
  static constexpr int kQueries = 16 * kRowBlocks * kWarps;
  static constexpr int kKeys = kWidth <= 64 ? 64 : 32;
  using Queries = Tile<kQueries, kWidth>;
  using Keys = Tile<kKeys, kWidth>;
  static constexpr int kSharedBytes =
      2 * Queries::kBytes + 2 * Keys::kBytes + kQueries * static_cast<int>(sizeof(RowStatistics));
};

/// do . o of the warp's kRows rows, the first of which are given: the gradients in a tile in shared memory, o
/// in global memory, where it has `rows` rows.
template <class Queries, int kRows>
__device__ void dot_rows(RowStatistics* statistics, const uint8_t* gradients, const bf16* o, int64_t stride,
                         int rows, int head_dim) {
  constexpr int kLanes = 2 * Queries::kBlocks;  // a chunk of a row each
  const int lane = threadIdx.x % kWarp, chunk = lane % kLanes;
#pragma unroll 4
  for (int i = 0; i < kRows; i += kWarp / kLanes) {
    const int row = i + lane / kLanes;
    float left[8] = {}, right[8];
    if (row < rows && chunk * 8 < head_dim) load_vector(o + row * stride + chunk * 8, left);
    load_vector(reinterpret_cast<const bf16*>(gradients + Queries::offset(row, chunk)), right);
    float sum = 0;
#pragma unroll
    for (int e = 0; e < 8; ++e) sum += left[e] * right[e];
#pragma unroll
    for (int distance = kLanes / 2; distance > 0; distance /= 2) {
      sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    }
    if (chunk == 0) statistics[row].dot = sum;
  }
  __syncwarp();
}

/// kWhole: the head dimension is kWidth, else it is less.
template <int kWidth, bool kWhole>
__global__ void __launch_bounds__(32 * QueryTiles<kWidth>::kWarps)
    attention_backward_queries_kernel(AttentionBackward<bf16> args, AttentionConstants constants) {
  using Tiles = QueryTiles<kWidth>;
  using Queries = typename Tiles::Queries;
  using Keys = typename Tiles::Keys;
  constexpr int kRowBlocks = Tiles::kRowBlocks, kKeys = Tiles::kKeys, kThreads = 32 * Tiles::kWarps;
  constexpr int kWarpRows = 16 * kRowBlocks;
  extern __shared__ __align__(1024) uint8_t shared[];
  SequenceTile tile;
  if (!find_tile<false>(args.problem, Tiles::kQueries, blockIdx.x, tile)) return;

  const int head_dim = kWhole ? kWidth : static_cast<int>(args.problem.head_dim);
  const int blocks = kWhole ? kWidth / 16 : (head_dim + 15) / 16;
  const int head = blockIdx.y, kv_head = head / constants.group;
  const int lane = threadIdx.x % kWarp, warp_row = warp_number() * kWarpRows;
  const int warp_at = warp_row * Queries::kRowBytes;
  const int first_token = tile.query_begin + tile.first;
  const uint32_t queries = ptx::shared_address(shared), gradients = queries + Queries::kBytes,
                 keys = gradients + Queries::kBytes, values = keys + Keys::kBytes;
  // Tiles of keys [n_begin, n_end] hold what some query sees; the warp's first query sees up to key own_last.
  const int window = constants.window;
  const int n_end = tile.last_key(tile.first + tile.rows - 1) / kKeys;
  const int n_begin = max(0, tile.last_key(tile.first) + 1 - window) / kKeys;
  const int own_last = tile.last_key(tile.first + warp_row);

  // The next tiles of keys and of values to copy.
  const int last_key = tile.key_begin + n_end * kKeys, last_rows = tile.keys - n_end * kKeys;
  const bf16* k = Keys::lane_source(args.k, constants.k_stride, last_key, kv_head * head_dim);
  const bf16* v = Keys::lane_source(args.v, constants.v_stride, last_key, kv_head * head_dim);
  Queries::template copy<kThreads>(
      queries, Queries::lane_source(args.q, constants.q_stride, first_token, head * head_dim),
      constants.q_stride, tile.rows, head_dim);
  Queries::template copy<kThreads>(
      gradients, Queries::lane_source(args.d_o, constants.o_stride, first_token, head * head_dim),
      constants.o_stride, tile.rows, head_dim);
  Keys::template copy<kThreads>(values, v, constants.v_stride, last_rows, head_dim);
  ptx::commit_copies();
  ptx::wait_for_copies<0>();
  __syncthreads();
  auto* statistics =
      reinterpret_cast<RowStatistics*>(shared + 2 * Queries::kBytes + 2 * Keys::kBytes) + warp_row;
  const int own_rows = tile.rows - warp_row;
  dot_rows<Queries, kWarpRows>(
      statistics, shared + Queries::kBytes + warp_at,
      args.o + int64_t{constants.o_stride} * (first_token + warp_row) + head * head_dim, constants.o_stride,
      own_rows, head_dim);
  if (lane < kWarpRows) {
    const int64_t at = int64_t{head} * constants.tokens + first_token + warp_row + lane;
    statistics[lane].lse = lane < own_rows ? args.lse[at] * kLog2E : INFINITY;
    if (lane < own_rows) reinterpret_cast<RowStatistics*>(args.scratch)[at] = statistics[lane];
  }
  __syncwarp();
  RowStatistics row[kRowBlocks][2];
#pragma unroll
  for (int i = 0; i < kRowBlocks; ++i) {
#pragma unroll
    for (int h = 0; h < 2; ++h) row[i][h] = statistics[16 * i + 8 * h + lane / 4];
  }

  float dq[kRowBlocks][kWidth / 8][4];
  clear(dq);
#pragma unroll 1
  for (int n = n_end; n >= n_begin; --n) {
    ptx::wait_for_copies<0>();
    __syncthreads();  // these values are here, and nobody needs the last keys
    Keys::template copy<kThreads>(keys, k, constants.k_stride, n == n_end ? last_rows : kKeys, head_dim);
    k -= int64_t{constants.k_stride} * kKeys;
    ptx::commit_copies();
    const Meeting<kWarpRows, kKeys> meeting{own_last - n * kKeys, window};
    const bool sees = own_rows > 0 && meeting.any();
    float ds[kRowBlocks][kKeys / 8][4];  // first do v^T
    if (sees) multiply_by_rows<Queries, Keys>(ds, gradients + warp_at, values, blocks);

    ptx::wait_for_copies<0>();
    __syncthreads();  // these keys are here, and nobody needs these values
    v -= int64_t{constants.v_stride} * kKeys;
    if (n > n_begin) Keys::template copy<kThreads>(values, v, constants.v_stride, kKeys, head_dim);
    ptx::commit_copies();
    if (!sees) continue;
    float scores[kRowBlocks][kKeys / 8][4];
    multiply_by_rows<Queries, Keys>(scores, queries + warp_at, keys, blocks);
    if (!meeting.all()) hide_unseen<false>(scores, meeting.behind, window);
#pragma unroll
    for (int i = 0; i < kRowBlocks; ++i) {
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const float p =
              ptx::exp2_approximate(fmaf(scores[i][j][e], constants.scale_log2, -row[i][e / 2].lse));
          ds[i][j][e] = p * (ds[i][j][e] - row[i][e / 2].dot);
        }
      }
    }
    uint32_t fragments[kRowBlocks][kKeys / 16][4];
    round_to_fragments(fragments, ds);
    multiply_fragments<Keys>(dq, fragments, keys, blocks);
  }

  float factor[kRowBlocks][2];
#pragma unroll
  for (int i = 0; i < kRowBlocks; ++i) factor[i][0] = factor[i][1] = constants.scale;
  // Its own queries, which nobody else reads, give the warp room to arrange what it writes.
  put_rows<Queries>(shared + warp_at, 0, dq, factor,
                    args.dq + int64_t{constants.q_stride} * (first_token + warp_row) + head * head_dim,
                    constants.q_stride, own_rows, head_dim, args.mode);
}

}  // namespace

void attention_backward_queries_mma(const AttentionBackward<bf16>& args, Stream stream) {
  with_width(args.problem.head_dim, [&](auto width, auto whole) {
    using Tiles = QueryTiles<width>;
    launch_tiles(attention_backward_queries_kernel<width, whole>,
                 dim3(most_tiles(args.problem.tokens, args.problem.sequences, Tiles::kQueries),
                      static_cast<unsigned>(args.problem.heads)),
                 32 * Tiles::kWarps, Tiles::kSharedBytes, stream, args);
  });
}

}  // namespace prospect::kernels::cuda
