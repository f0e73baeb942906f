// dk and dv in bf16 on tensor cores: a block takes a tile of keys of one head of keys and goes through the
// tiles of queries that see them, of every head that shares the keys. Scores are computed with keys along the
// rows, so that probabilities and their gradients are the left sides of the products for dv and dk as they
// stand in registers.
//
// In wide heads two warps share their keys: each computes the scores of half of the queries, the first sums
// dv, the second dk, and what the other needs passes through shared memory.
#include <utility>

#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/attention_launch.cuh"
#include "kernels/attention/attention_mma.cuh"

namespace prospect::kernels::cuda {
namespace {

template <int kWidth>
struct KeyTiles {
  static constexpr int kKeyBlocks = kWidth <= 128 ? 2 : 1;  ///< of 16 keys, a warp
  static constexpr int kPartners = kWidth <= 64 ? 1 : 2;    ///< warps that share their keys
  static constexpr int kKeyParts = kWidth <= 64 ? 4 : 2;
  static constexpr int kQueryBlocks = kWidth <= 128 ? 2 : 1;  ///< of 16 queries, a warp
  static constexpr int kThreads = 32 * kKeyParts * kPartners;
  static constexpr int kKeys = 16 * kKeyBlocks * kKeyParts;
  static constexpr int kQueries = 16 * kQueryBlocks * kPartners;
  using Keys = Tile<kKeys, kWidth>;
  using Queries = Tile<kQueries, kWidth>;
  using Fragments = uint32_t[kKeyBlocks][kQueryBlocks][4];
  using Sums = float[kKeyBlocks][kWidth / 8][4];
  /// What partners pass to each other, and what is known of the queries.
  static constexpr int kExchangeBytes =
      kPartners == 1 ? 0 : kKeyParts * kPartners * 32 * static_cast<int>(sizeof(Fragments));
  static constexpr int kSharedBytes = 2 * Keys::kBytes + 2 * Queries::kBytes + kExchangeBytes +
                                      kQueries * static_cast<int>(sizeof(RowStatistics));
};

/// A lane's fragments as they stand in registers, 16 bytes each.
template <int kRowBlocks, int kSteps>
__device__ inline void store_fragments(uint4* to, const uint32_t (&a)[kRowBlocks][kSteps][4]) {
#pragma unroll
  for (int i = 0; i < kRowBlocks * kSteps; ++i) {
    const uint32_t* words = a[i / kSteps][i % kSteps];
    to[i * kWarp] = make_uint4(words[0], words[1], words[2], words[3]);
  }
}
template <int kRowBlocks, int kSteps>
__device__ inline void load_fragments(uint32_t (&a)[kRowBlocks][kSteps][4], const uint4* from) {
#pragma unroll
  for (int i = 0; i < kRowBlocks * kSteps; ++i) {
    const uint4 words = from[i * kWarp];
    uint32_t* to = a[i / kSteps][i % kSteps];
    to[0] = words.x, to[1] = words.y, to[2] = words.z, to[3] = words.w;
  }
}

/// Scores become p = exp2(scale score - lse), products do v^T become ds = p (do v^T - D). Queries lie along
/// the columns; `statistics` are of that of the lane's first element.
template <int kKeyBlocks, int kTiles>
__device__ inline void differentiate(float (&scores)[kKeyBlocks][kTiles][4],
                                     float (&ds)[kKeyBlocks][kTiles][4], float scale,
                                     const RowStatistics* statistics) {
#pragma unroll
  for (int n = 0; n < kTiles; ++n) {
    const float4 pair = *reinterpret_cast<const float4*>(statistics + 8 * n);
#pragma unroll
    for (int i = 0; i < kKeyBlocks; ++i) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        float& p = scores[i][n][e];
        p = ptx::exp2_approximate(fmaf(p, scale, -(e % 2 ? pair.z : pair.x)));
        ds[i][n][e] = p * (ds[i][n][e] - (e % 2 ? pair.w : pair.y));
      }
    }
  }
}

/// kWhole: the head dimension is kWidth, else it is less.
template <int kWidth, bool kWhole>
__global__ void __launch_bounds__(KeyTiles<kWidth>::kThreads)
    attention_backward_keys_kernel(AttentionBackward<bf16> args, AttentionConstants constants) {
  using Tiles = KeyTiles<kWidth>;
  using Keys = typename Tiles::Keys;
  using Queries = typename Tiles::Queries;
  constexpr int kThreads = Tiles::kThreads, kQueries = Tiles::kQueries, kPartners = Tiles::kPartners;
  constexpr int kKeyBlocks = Tiles::kKeyBlocks, kQueryBlocks = Tiles::kQueryBlocks;
  constexpr int kWarpKeys = 16 * kKeyBlocks, kWarpQueries = 16 * kQueryBlocks;
  extern __shared__ __align__(1024) uint8_t shared[];
  SequenceTile tile;
  if (!find_tile<true>(args.problem, Tiles::kKeys, blockIdx.x, tile)) return;

  const int head_dim = kWhole ? kWidth : static_cast<int>(args.problem.head_dim);
  const int blocks = kWhole ? kWidth / 16 : (head_dim + 15) / 16;
  const int kv_head = blockIdx.y, first_head = kv_head * constants.group;
  const int first_key = tile.key_begin + tile.first;
  const int warp = warp_number(), own_part = warp % kPartners;  // of a tile of queries
  const int warp_key = warp / kPartners * kWarpKeys, warp_at = warp_key * Keys::kRowBytes;
  const uint32_t keys = ptx::shared_address(shared), values = keys + Keys::kBytes,
                 queries = values + Keys::kBytes, gradients = queries + Queries::kBytes;
  uint8_t* after_tiles = shared + 2 * Keys::kBytes + 2 * Queries::kBytes;
  // Where a warp finds what its partner computed for it.
  const auto slot = [&](int of_warp) {
    return reinterpret_cast<uint4*>(after_tiles) + of_warp * kKeyBlocks * kQueryBlocks * kWarp +
           threadIdx.x % kWarp;
  };
  auto* statistics = reinterpret_cast<RowStatistics*>(after_tiles + Tiles::kExchangeBytes);

  const auto copy_keys = [&](uint32_t to, const bf16* from, int stride) {
    Keys::template copy<kThreads>(to, Keys::lane_source(from, stride, first_key, kv_head * head_dim), stride,
                                  tile.rows, head_dim);
  };
  const auto copy_queries = [&](uint32_t to, const bf16* from, int stride, int head, int m) {
    const int first = m * kQueries;
    Queries::template copy<kThreads>(
        to, Queries::lane_source(from, stride, tile.query_begin + first, head * head_dim), stride,
        tile.queries - first, head_dim);
  };
  // The next tile of queries, in two groups of copies.
  const auto load_queries = [&](int head, int m) {
    copy_queries(queries, args.q, constants.q_stride, head, m);
    ptx::commit_copies();
    copy_queries(gradients, args.d_o, constants.o_stride, head, m);
    ptx::commit_copies();
    const int query = m * kQueries + static_cast<int>(threadIdx.x);
    if (threadIdx.x >= kQueries) return;
    const RowStatistics* from = reinterpret_cast<const RowStatistics*>(args.scratch) +
                                int64_t{head} * constants.tokens + tile.query_begin + query;
    statistics[threadIdx.x] = query < tile.queries ? *from : RowStatistics{INFINITY, 0};
  };

  // Tiles of queries [m_begin, m_end) hold those that see some key.
  const int behind_first = tile.keys - tile.queries - tile.first;
  const int m_begin = max(0, -behind_first) / kQueries;
  const int q_end = min(tile.queries, tile.rows - 1 - behind_first + constants.window);
  const int m_end = q_end > 0 ? (q_end + kQueries - 1) / kQueries : 0;

  // A warp by itself sums dv and dk; of two partners the first sums dv, the second dk.
  const bool sums_dk = kPartners == 2 && own_part == 1;
  typename Tiles::Sums sum, second_sum;
  clear(sum);
  if (kPartners == 1) clear(second_sum);
  int head = first_head, m = m_begin;
  if (m < m_end) {
    copy_keys(keys, args.k, constants.k_stride);
    copy_keys(values, args.v, constants.v_stride);
    load_queries(head, m);
  }
#pragma unroll 1
  while (m < m_end) {
    const auto meeting_of = [&](int part) {
      const int first = m * kQueries + part * kWarpQueries;
      return Meeting<kWarpQueries, kWarpKeys>{first + behind_first - warp_key, constants.window};
    };
    const auto meeting = meeting_of(own_part);
    constexpr int kPartBytes = kWarpQueries * Queries::kRowBytes;
    const int own_at = own_part * kPartBytes, other_at = (kPartners - 1 - own_part) * kPartBytes;
    float p[kKeyBlocks][2 * kQueryBlocks][4], ds[kKeyBlocks][2 * kQueryBlocks][4];
    ptx::wait_for_copies<1>();
    __syncthreads();  // these queries are here
    if (meeting.any()) multiply_by_rows<Keys, Queries>(p, keys + warp_at, queries + own_at, blocks);
    ptx::wait_for_copies<0>();
    __syncthreads();  // these gradients are here

    typename Tiles::Fragments left, second;  // sides of the products for sum and second_sum: p and ds
    if (meeting.any()) {
      multiply_by_rows<Keys, Queries>(ds, values + warp_at, gradients + own_at, blocks);
      if (!meeting.all()) hide_unseen<true>(p, meeting.behind, constants.window);
      const int column = own_part * kWarpQueries + threadIdx.x % 4 * 2;
      differentiate(p, ds, constants.scale_log2, statistics + column);
      round_to_fragments(left, p);
      round_to_fragments(second, ds);
    }
    if constexpr (kPartners == 1) {
      if (meeting.any()) {
        multiply_fragments<Queries>(sum, left, gradients, blocks);
        multiply_fragments<Queries>(second_sum, second, queries, blocks);
      }
    } else {
      if (sums_dk) std::swap(left, second);
      if (meeting.any()) store_fragments(slot(warp ^ 1), second);
      __syncthreads();  // the partner's fragments are here
      const uint32_t right = sums_dk ? queries : gradients;
      if (meeting.any()) multiply_fragments<Queries>(sum, left, right + own_at, blocks);
      if (meeting_of(1 - own_part).any()) {
        load_fragments(left, slot(warp));
        multiply_fragments<Queries>(sum, left, right + other_at, blocks);
      }
    }
    if (++head == first_head + constants.group) head = first_head, ++m;
    __syncthreads();  // nobody needs these queries and gradients
    if (m < m_end) load_queries(head, m);
  }

  // Keys and values are no longer read: they give each warp room to arrange what it writes.
  const auto put = [&](const typename Tiles::Sums& of, float factor, int at, bf16* to, int stride) {
    float factors[kKeyBlocks][2];
#pragma unroll
    for (int i = 0; i < kKeyBlocks; ++i) factors[i][0] = factors[i][1] = factor;
    put_rows<Keys>(shared + at + warp_at, 0, of, factors,
                   to + int64_t{stride} * (first_key + warp_key) + kv_head * head_dim, stride,
                   tile.rows - warp_key, head_dim, args.mode);
  };
  put(sum, sums_dk ? constants.scale : 1, sums_dk ? 0 : Keys::kBytes, sums_dk ? args.dk : args.dv,
      sums_dk ? constants.k_stride : constants.v_stride);
  if (kPartners == 1) put(second_sum, constants.scale, 0, args.dk, constants.k_stride);
}

}  // namespace

void attention_backward_keys_mma(const AttentionBackward<bf16>& args, Stream stream) {
  with_width(args.problem.head_dim, [&](auto width, auto whole) {
    using Tiles = KeyTiles<width>;
    launch_tiles(attention_backward_keys_kernel<width, whole>,
                 dim3(most_tiles(args.problem.key_rows, args.problem.sequences, Tiles::kKeys),
                      static_cast<unsigned>(args.problem.kv_heads)),
                 Tiles::kThreads, Tiles::kSharedBytes, stream, args);
  });
}

}  // namespace prospect::kernels::cuda
