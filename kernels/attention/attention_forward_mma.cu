// Forward in bf16 on tensor cores: a block takes a tile of queries of one head and goes through the tiles of
// keys that they see, from the last to the first. Scores, probabilities and output stay in registers; the
// next tile of keys is under way while a tile of values is used, and the other way round.
#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/attention_launch.cuh"
#include "kernels/attention/attention_mma.cuh"

namespace prospect::kernels::cuda {
namespace {

template <int kWidth>
struct ForwardTiles {
  static constexpr int kRowBlocks = kWidth <= 128 ? 2 : 1;  ///< of 16 queries, a warp
  static constexpr int kWarps = kWidth <= 128 ? 4 : 8;
  static constexpr int kQueries = 16 * kRowBlocks * kWarps;
  static constexpr int kKeys = kWidth < 128 ? 64 : 32;
  /// Blocks of 16 columns of a warp's queries for which there are registers; the others are loaded for each
  /// tile of keys. `whole`: the head dimension is kWidth.
  static constexpr int held_blocks(bool whole) { return kWidth == 128 && whole ? 8 : 4; }
  using Queries = Tile<kQueries, kWidth>;
  using Keys = Tile<kKeys, kWidth>;
  static constexpr int kSharedBytes = Queries::kBytes + 2 * Keys::kBytes;
};

/// What a lane knows of the rows that it shares with three others. Scores are in units of log2.
template <int kRowBlocks>
struct RowSoftmax {
  /// The maximum when it was last raised: probabilities are relative to it.
  float reference[kRowBlocks][2];
  float sum[kRowBlocks][2];  ///< of this lane's probabilities

  /// A maximum this much above the reference raises it. Until then probabilities are at most 2^8, which costs
  /// no accuracy, and what was summed need not be scaled.
  static constexpr float kSlack = 8;

  __device__ RowSoftmax() {
#pragma unroll
    for (int i = 0; i < kRowBlocks; ++i) {
#pragma unroll
      for (int h = 0; h < 2; ++h) reference[i][h] = -FLT_MAX, sum[i][h] = 0;
    }
  }

  /// Raises the reference where the scores of a tile ask for it, and scales what stands in relation to it.
  template <int kTiles, int kOutputTiles>
  __device__ void raise(const float (&scores)[kRowBlocks][kTiles][4], float scale,
                        float (&output)[kRowBlocks][kOutputTiles][4]) {
    float next[kRowBlocks][2];
    bool raised = false;
#pragma unroll
    for (int i = 0; i < kRowBlocks; ++i) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        float most = -INFINITY;
#pragma unroll
        for (int n = 0; n < kTiles; ++n) {
          most = fmaxf(most, fmaxf(scores[i][n][2 * h], scores[i][n][2 * h + 1]));
        }
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2)) * scale;
        const bool above = most > reference[i][h] + kSlack;
        next[i][h] = above ? most : reference[i][h];
        raised |= above;
      }
    }
    if (!__any_sync(0xffffffffu, raised)) return;
#pragma unroll
    for (int i = 0; i < kRowBlocks; ++i) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const float factor = ptx::exp2_approximate(reference[i][h] - next[i][h]);
        reference[i][h] = next[i][h];
        sum[i][h] *= factor;
#pragma unroll
        for (int n = 0; n < kOutputTiles; ++n) {
          output[i][n][2 * h] *= factor;
          output[i][n][2 * h + 1] *= factor;
        }
      }
    }
  }

  /// Scores become probabilities.
  template <int kTiles>
  __device__ void exponentiate(float (&scores)[kRowBlocks][kTiles][4], float scale) {
#pragma unroll
    for (int i = 0; i < kRowBlocks; ++i) {
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          float& score = scores[i][n][e];
          score = ptx::exp2_approximate(fmaf(score, scale, -reference[i][e / 2]));
          sum[i][e / 2] += score;
        }
      }
    }
  }

  /// The sum of a row's probabilities, in the four lanes that share it.
  __device__ float total(int i, int h) const {
    const float pair = sum[i][h] + __shfl_xor_sync(0xffffffffu, sum[i][h], 1);
    return pair + __shfl_xor_sync(0xffffffffu, pair, 2);
  }
};

/// kWhole: the head dimension is kWidth, else it is less.
template <int kWidth, bool kWhole>
__global__ void __launch_bounds__(32 * ForwardTiles<kWidth>::kWarps)
    attention_forward_kernel(AttentionForward<bf16> args, AttentionConstants constants) {
  using Tiles = ForwardTiles<kWidth>;
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
  const uint32_t queries = ptx::shared_address(shared), keys = queries + Queries::kBytes,
                 values = keys + Keys::kBytes;
  // Tiles of keys [n_begin, n_end] hold what some query sees. The warp's own queries see up to key own_last
  // and those after it.
  const int window = constants.window;
  const int n_end = tile.last_key(tile.first + tile.rows - 1) / kKeys;
  const int n_begin = max(0, tile.last_key(tile.first) + 1 - window) / kKeys;
  const int own_last = tile.last_key(tile.first + warp_row);

  float output[kRowBlocks][kWidth / 8][4];
  clear(output);
  RowSoftmax<kRowBlocks> softmax;
  // The next tiles of keys and of values to copy.
  const int last_key = tile.key_begin + n_end * kKeys, last_rows = tile.keys - n_end * kKeys;
  const bf16* k = Keys::lane_source(args.k, constants.k_stride, last_key, kv_head * head_dim);
  const bf16* v = Keys::lane_source(args.v, constants.v_stride, last_key, kv_head * head_dim);
  Queries::template copy<kThreads>(
      queries, Queries::lane_source(args.q, constants.q_stride, first_token, head * head_dim),
      constants.q_stride, tile.rows, head_dim);
  Keys::template copy<kThreads>(keys, k, constants.k_stride, last_rows, head_dim);
  ptx::commit_copies();
  ptx::wait_for_copies<0>();
  __syncthreads();  // the queries are here
  constexpr int kHeld = Tiles::held_blocks(kWhole);
  uint32_t held[kHeld][kRowBlocks][4];
#pragma unroll
  for (int b = 0; b < kHeld; ++b) {
    load_rows<Queries>(held[b], queries + warp_at, Queries::lane_by_rows(), b);
  }
#pragma unroll 1
  for (int n = n_end; n >= n_begin; --n) {
    ptx::wait_for_copies<0>();
    __syncthreads();  // these keys are here, and nobody needs the last values
    Keys::template copy<kThreads>(values, v, constants.v_stride, n == n_end ? last_rows : kKeys, head_dim);
    v -= int64_t{constants.v_stride} * kKeys;
    ptx::commit_copies();
    const Meeting<kWarpRows, kKeys> meeting{own_last - n * kKeys, window};
    const bool sees = warp_row < tile.rows && meeting.any();
    float scores[kRowBlocks][kKeys / 8][4];
    if (sees) {
      clear(scores);
#pragma unroll
      for (int b = 0; b < kHeld; ++b) {
        if (b < blocks) multiply_step<Keys>(scores, held[b], keys, Keys::lane_by_columns(), b);
      }
      add_product_by_rows<Queries, Keys>(scores, queries + warp_at, keys, kHeld, blocks);
    }

    ptx::wait_for_copies<0>();
    __syncthreads();  // these values are here, and nobody needs these keys
    k -= int64_t{constants.k_stride} * kKeys;
    if (n > n_begin) Keys::template copy<kThreads>(keys, k, constants.k_stride, kKeys, head_dim);
    ptx::commit_copies();
    if (!sees) continue;
    if (!meeting.all()) hide_unseen<false>(scores, meeting.behind, window);
    softmax.raise(scores, constants.scale_log2, output);
    softmax.exponentiate(scores, constants.scale_log2);
    uint32_t probabilities[kRowBlocks][kKeys / 16][4];
    round_to_fragments(probabilities, scores);
    multiply_fragments<Keys>(output, probabilities, values, blocks);
  }

  float factor[kRowBlocks][2];
#pragma unroll
  for (int i = 0; i < kRowBlocks; ++i) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const float sum = softmax.total(i, h);
      factor[i][h] = 1 / sum;
      const int row = warp_row + 16 * i + 8 * h + lane / 4;
      if (args.lse && lane % 4 == 0 && row < tile.rows) {
        args.lse[int64_t{head} * constants.tokens + first_token + row] =
            softmax.reference[i][h] * kLn2 + logf(sum);
      }
    }
  }
  // Its own queries, which nobody else reads, give the warp room to arrange what it writes.
  put_rows<Queries>(shared + warp_at, 0, output, factor,
                    args.o + int64_t{first_token + warp_row} * constants.o_stride + head * head_dim,
                    constants.o_stride, tile.rows - warp_row, head_dim, GradMode::Overwrite);
}

}  // namespace

void attention_forward_mma(const AttentionForward<bf16>& args, Stream stream) {
  with_width(args.problem.head_dim, [&](auto width, auto whole) {
    using Tiles = ForwardTiles<width>;
    launch_tiles(attention_forward_kernel<width, whole>,
                 dim3(most_tiles(args.problem.tokens, args.problem.sequences, Tiles::kQueries),
                      static_cast<unsigned>(args.problem.heads)),
                 32 * Tiles::kWarps, Tiles::kSharedBytes, stream, args);
  });
}

}  // namespace prospect::kernels::cuda
