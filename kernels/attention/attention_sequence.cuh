#pragma once

#include <algorithm>
#include <climits>

#include "kernels/attention/attention.h"
#include "kernels/common/reduce.cuh"

/// Which sequence, and which part of it, a block works on.
namespace prospect::kernels::cuda {

/// The same in all lanes, and known to the compiler to be so: it may then branch, and keep the value, for the
/// warp as a whole.
__device__ inline int uniform(int value) {
  return __shfl_sync(0xffffffffu, value, 0);
}
/// The warp's number in its block.
__device__ inline int warp_number() {
  return uniform(static_cast<int>(threadIdx.x) / kWarp);
}

/// A tile of a sequence: rows [first, first + rows) of its queries, or of its keys.
struct SequenceTile {
  int query_begin, queries;  ///< rows of q
  int key_begin, keys;       ///< rows of k and v
  int first, rows;
  int index, count;  ///< of the tile among those of its sequence

  /// The last key that a query sees.
  __device__ int last_key(int query) const { return query + keys - queries; }
};

/// The tiles of the sequences' queries (of their keys where kByKeys) are numbered one sequence after another.
/// Finds tile `number`, in every lane of a warp; false where there are fewer. The tiles that take longest
/// come first within a sequence: the last queries see the most keys, the first keys are seen by the most
/// queries. Requires: the whole warp takes part.
template <bool kByKeys>
__device__ inline bool find_tile(const AttentionProblem& problem, int tile_rows, int number,
                                 SequenceTile& found) {
  constexpr unsigned kAllLanes = 0xffffffffu;
  const int lane =
      static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x) % kWarp;  // some blocks are squares
  const int sequences = static_cast<int>(problem.sequences);
  for (int first = 0; first < sequences; first += kWarp) {
    int4 bounds = make_int4(0, 0, 0, 0);
    if (first + lane < sequences) bounds = reinterpret_cast<const int4*>(problem.bounds)[first + lane];
    const int rows = kByKeys ? bounds.w - bounds.z : bounds.y - bounds.x;
    const int tiles = (rows + tile_rows - 1) / tile_rows;
    int end = tiles;  // of the sequence's numbers
#pragma unroll
    for (int distance = 1; distance < kWarp; distance *= 2) {
      const int before = __shfl_up_sync(kAllLanes, end, distance);
      if (lane >= distance) end += before;
    }
    const unsigned later = __ballot_sync(kAllLanes, number < end);
    if (later == 0) {
      number -= __shfl_sync(kAllLanes, end, kWarp - 1);
      continue;
    }
    const int owner = __ffs(static_cast<int>(later)) - 1;
    const auto of_owner = [&](int value) { return uniform(__shfl_sync(kAllLanes, value, owner)); };
    found.query_begin = of_owner(bounds.x), found.queries = of_owner(bounds.y) - found.query_begin;
    found.key_begin = of_owner(bounds.z), found.keys = of_owner(bounds.w) - found.key_begin;
    found.count = of_owner(tiles);
    const int order = number - of_owner(end) + found.count;
    found.index = kByKeys ? order : found.count - 1 - order;
    found.first = found.index * tile_rows;
    found.rows = min(tile_rows, (kByKeys ? found.keys : found.queries) - found.first);
    return true;
  }
  return false;
}

/// No fewer than the tiles of the sequences, whose ranges of rows do not overlap.
inline unsigned most_tiles(int64_t rows, int64_t sequences, int tile_rows) {
  return static_cast<unsigned>(rows / tile_rows + sequences);
}

/// kQueries queries meet kKeys keys, each one after another.
template <int kQueries, int kKeys>
struct Meeting {
  int behind;  ///< how many keys the last one that the first query sees stands behind the first of the keys
  int window;

  /// Whether some query sees some key.
  __device__ bool any() const { return behind + kQueries > 0 && behind - kKeys < window - 1; }
  /// Whether every query sees every key.
  __device__ bool all() const { return behind >= kKeys - 1 && behind + kQueries <= window; }
};

/// What backward needs to know of a query and a head, [heads, tokens] in scratch.
struct alignas(8) RowStatistics {
  float lse;  ///< in units of log2; infinity, so that all probabilities are 0, where there is no query
  float dot;  ///< do . o
};

/// What a launch computes once for all its blocks. Rows and strides are ints, for their products of 64 bits
/// are then one instruction.
struct AttentionConstants {
  float scale;
  float scale_log2;  ///< for scores in units of log2
  int window;        ///< how many keys a query sees at most, small enough to be added to any row
  int group;         ///< heads that share their keys
  int tokens;
  int q_stride, k_stride, v_stride, o_stride;

  template <class Args>
  explicit AttentionConstants(const Args& args)
      : scale(static_cast<float>(args.problem.scale)),
        scale_log2(static_cast<float>(args.problem.scale * 1.4426950408889634)),
        window(static_cast<int>(args.problem.window > 0 ? std::min<int64_t>(args.problem.window, INT_MAX / 2)
                                                        : INT_MAX / 2)),
        group(static_cast<int>(args.problem.heads / args.problem.kv_heads)),
        tokens(static_cast<int>(args.problem.tokens)),
        q_stride(static_cast<int>(args.q_stride)),
        k_stride(static_cast<int>(args.k_stride)),
        v_stride(static_cast<int>(args.v_stride)),
        o_stride(static_cast<int>(args.o_stride)) {}
};
inline constexpr float kLog2E = 1.442695041f, kLn2 = 0.6931471806f;

}  // namespace prospect::kernels::cuda
