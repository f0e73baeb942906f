// dk and dv in bf16 on tensor cores: a block takes a tile of keys of one head of keys and goes through the
// tiles of queries that see them, of every head that shares the keys. Scores are computed with keys along the
// rows, so that probabilities and their gradients are the left sides of the products for dv and dk as they
// stand in registers.
//
// In wide heads, kColumnWarps warps share 16 kKeyBlocks keys: each computes the scores of its part of the
// queries, passes them to the others through shared memory, and owns a part of the columns of dk and dv.
#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/attention_launch.cuh"
#include "kernels/attention/attention_mma.cuh"

namespace prospect::kernels::cuda {
namespace {

template <int kWidth>
struct KeyTiles {
  static constexpr int kKeyBlocks = kWidth <= 128 ? 2 : 1;   ///< of 16 keys, a warp
  static constexpr int kColumnWarps = kWidth <= 64 ? 1 : 2;  ///< that share their keys
  static constexpr int kKeyWarps = kWidth <= 64 ? 4 : 2;
  static constexpr int kQueryBlocks = kWidth <= 128 ? 2 : 1;        ///< of 16 queries, a warp
  static constexpr int kColumnBlocks = kWidth / 16 / kColumnWarps;  ///< of 16 columns, a warp
  static constexpr int kThreads = 32 * kKeyWarps * kColumnWarps;
  static constexpr int kKeys = 16 * kKeyBlocks * kKeyWarps;
  static constexpr int kQueries = 16 * kQueryBlocks * kColumnWarps;
  using Keys = Tile<kKeys, kWidth>;
  using Queries = Tile<kQueries, kWidth>;
  /// Fragments of probabilities and of their gradients, as they stand in registers.
  static constexpr int kExchangeBytes = kColumnWarps == 1 ? 0 : 2 * kKeys * kQueries * 2;
  static constexpr int kSharedBytes = 2 * Keys::kBytes + 2 * Queries::kBytes + kExchangeBytes +
                                      2 * kQueries * static_cast<int>(sizeof(RowStatistics));
};

enum class Kind { Probability, Gradient };

/// A warp's part of a block's work.
template <class Tiles>
struct KeyWarp {
  static constexpr int kKeys = 16 * Tiles::kKeyBlocks, kQueries = 16 * Tiles::kQueryBlocks;
  static constexpr int kFragments = Tiles::kKeyBlocks * Tiles::kQueryBlocks;
  using Fragments = uint32_t[Tiles::kKeyBlocks][Tiles::kQueryBlocks][4];
  using Sums = float[Tiles::kKeyBlocks][2 * Tiles::kColumnBlocks][4];

  int key_part = warp_number() / Tiles::kColumnWarps;  ///< of the keys
  int column_part =
      threadIdx.x / kWarp % Tiles::kColumnWarps;  ///< of the columns, and of the queries for scores
  uint4* exchange;

  __device__ int first_key() const { return key_part * kKeys; }
  __device__ int first_block() const { return column_part * Tiles::kColumnBlocks; }  ///< of columns

  /// The fragments of a part of the queries and the warp's keys: 16 bytes a lane, as they stand in registers.
  __device__ uint4* slot(Kind kind, int part) const {
    const int number = (static_cast<int>(kind) * Tiles::kKeyWarps + key_part) * Tiles::kColumnWarps + part;
    return exchange + number * kFragments * kWarp + threadIdx.x % kWarp;
  }
  __device__ void store(Kind kind, const Fragments& a) const {
    if constexpr (Tiles::kColumnWarps == 1) return;
    uint4* to = slot(kind, column_part);
#pragma unroll
    for (int i = 0; i < kFragments; ++i) {
      const uint32_t* words = a[i / Tiles::kQueryBlocks][i % Tiles::kQueryBlocks];
      to[i * kWarp] = make_uint4(words[0], words[1], words[2], words[3]);
    }
  }
  __device__ void load(Fragments& a, Kind kind, int part) const {
    const uint4* from = slot(kind, part);
#pragma unroll
    for (int i = 0; i < kFragments; ++i) {
      const uint4 words = from[i * kWarp];
      uint32_t* to = a[i / Tiles::kQueryBlocks][i % Tiles::kQueryBlocks];
      to[0] = words.x, to[1] = words.y, to[2] = words.z, to[3] = words.w;
    }
  }

  /// sum += a b for a tile of queries b, a the fragments of every part of them: the warp's own are at hand.
  /// `behind`: of the tile's first query and the warp's first key (Meeting).
  __device__ void multiply(Sums& sum, const Fragments& own, Kind kind, int behind, int window, uint32_t b,
                           int blocks) const {
    using Queries = typename Tiles::Queries;
    constexpr int kPartBytes = kQueries * Queries::kRowBytes;
    const auto sees = [&](int part) {
      return Meeting<kQueries, kKeys>{behind + part * kQueries, window}.any();
    };
    b += first_block() / 4 * Queries::kPanelBytes;
    blocks -= first_block();
    if (sees(column_part)) multiply_fragments<Queries>(sum, own, b + column_part * kPartBytes, blocks);
    if constexpr (Tiles::kColumnWarps == 2) {
      const int part = 1 - column_part;
      if (!sees(part)) return;
      Fragments others;
      load(others, kind, part);
      multiply_fragments<Queries>(sum, others, b + part * kPartBytes, blocks);
    }
  }
};

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
  using Warp = KeyWarp<Tiles>;
  constexpr int kThreads = Tiles::kThreads, kQueries = Tiles::kQueries;
  constexpr int kKeyBlocks = Tiles::kKeyBlocks, kQueryBlocks = Tiles::kQueryBlocks;
  extern __shared__ __align__(1024) uint8_t shared[];
  SequenceTile tile;
  if (!find_tile<true>(args.problem, Tiles::kKeys, blockIdx.x, tile)) return;

  const int head_dim = kWhole ? kWidth : static_cast<int>(args.problem.head_dim);
  const int blocks = kWhole ? kWidth / 16 : (head_dim + 15) / 16;
  const int kv_head = blockIdx.y;
  const int first_key = tile.key_begin + tile.first;
  const uint32_t keys = ptx::shared_address(shared), values = keys + Keys::kBytes,
                 queries = values + Keys::kBytes, gradients = queries + Queries::kBytes;
  uint8_t* after_tiles = shared + 2 * Keys::kBytes + 2 * Queries::kBytes;
  const Warp warp{.exchange = reinterpret_cast<uint4*>(after_tiles)};
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
  const auto load_statistics = [&](int head, int m) {
    const int query = m * kQueries + static_cast<int>(threadIdx.x);
    if (threadIdx.x >= kQueries) return;
    const RowStatistics* from = reinterpret_cast<const RowStatistics*>(args.scratch) +
                                int64_t{head} * constants.tokens + tile.query_begin + query;
    statistics[threadIdx.x] = query < tile.queries ? *from : RowStatistics{INFINITY, 0};
  };

  // Tiles of queries [m_begin, m_end) hold those that see some key.
  const int window = constants.window, behind_first = tile.keys - tile.queries - tile.first;
  const int m_begin = max(0, -behind_first) / kQueries;
  const int q_end = min(tile.queries, tile.rows - 1 - behind_first + window);
  const int m_end = q_end > 0 ? (q_end + kQueries - 1) / kQueries : 0;

  typename Warp::Sums dk, dv;
  clear(dk);
  clear(dv);
  const int own_keys = warp.first_key() * Keys::kRowBytes;
  const int own_queries = warp.column_part * Warp::kQueries * Queries::kRowBytes;
  const int first_head = kv_head * constants.group;
  int head = first_head, m = m_begin;
  if (m < m_end) {
    copy_keys(keys, args.k, constants.k_stride);
    copy_keys(values, args.v, constants.v_stride);
    copy_queries(queries, args.q, constants.q_stride, head, m);
    ptx::commit_copies();
    load_statistics(head, m);
  }
#pragma unroll 1
  while (m < m_end) {
    ptx::wait_for_copies<0>();
    __syncthreads();  // these queries are here, and nobody needs the last gradients
    copy_queries(gradients, args.d_o, constants.o_stride, head, m);
    ptx::commit_copies();
    const int behind = m * kQueries + behind_first - warp.first_key();
    const Meeting<Warp::kQueries, Warp::kKeys> meeting{behind + warp.column_part * Warp::kQueries, window};
    float p[kKeyBlocks][2 * kQueryBlocks][4], ds[kKeyBlocks][2 * kQueryBlocks][4];
    if (meeting.any()) multiply_by_rows<Keys, Queries>(p, keys + own_keys, queries + own_queries, blocks);

    ptx::wait_for_copies<0>();
    __syncthreads();  // these gradients are here
    typename Warp::Fragments own_p, own_ds;
    if (meeting.any()) {
      multiply_by_rows<Keys, Queries>(ds, values + own_keys, gradients + own_queries, blocks);
      if (!meeting.all()) hide_unseen<true>(p, meeting.behind, window);
      const int column = warp.column_part * Warp::kQueries + threadIdx.x % 4 * 2;
      differentiate(p, ds, constants.scale_log2, statistics + column);
      round_to_fragments(own_p, p);
      round_to_fragments(own_ds, ds);
      warp.store(Kind::Probability, own_p);
      warp.store(Kind::Gradient, own_ds);
    }
    if constexpr (Tiles::kColumnWarps > 1) __syncthreads();  // the others' fragments are here
    warp.multiply(dk, own_ds, Kind::Gradient, behind, window, queries, blocks);

    if (++head == first_head + constants.group) head = first_head, ++m;
    __syncthreads();  // nobody needs these queries
    if (m < m_end) {
      copy_queries(queries, args.q, constants.q_stride, head, m);
      load_statistics(head, m);
    }
    ptx::commit_copies();
    warp.multiply(dv, own_p, Kind::Probability, behind, window, gradients, blocks);
  }

  // Keys and values are no longer read: they give each warp room to arrange what it writes.
  const int column = warp.first_block() * 16;
  const auto put = [&](const typename Warp::Sums& sum, float factor, int at, bf16* to, int stride) {
    float factors[kKeyBlocks][2];
#pragma unroll
    for (int i = 0; i < kKeyBlocks; ++i) factors[i][0] = factors[i][1] = factor;
    put_rows<Keys>(shared + at + own_keys, column / 8, sum, factors,
                   to + int64_t{stride} * (first_key + warp.first_key()) + kv_head * head_dim + column,
                   stride, tile.rows - warp.first_key(), head_dim - column, args.mode);
  };
  put(dk, constants.scale, 0, args.dk, constants.k_stride);
  put(dv, 1, Keys::kBytes, args.dv, constants.v_stride);
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
