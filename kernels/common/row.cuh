#pragma once

#include <algorithm>

#include "kernels/common/device_attribute.h"
#include "kernels/common/grad_mode.h"
#include "kernels/common/reduce.cuh"
#include "kernels/common/vector_io.cuh"

/// Rows that threads hold in their registers, kRowValues elements each. A block has x threads to a row and y
/// of such teams, which go through rows of their own.
namespace prospect::kernels::cuda {

inline constexpr int kRowValues = 16;
/// Twice as many threads would leave each too few registers to hold its part of several rows.
inline constexpr int kMostRowThreads = 512;
inline constexpr int64_t kLongestRow = int64_t{kMostRowThreads} * kRowValues;

/// Threads that hold a row of `columns` elements: whole warps.
inline int row_threads(int64_t columns) {
  const int64_t threads = (columns + kRowValues - 1) / kRowValues;
  return static_cast<int>(std::max<int64_t>((threads + 31) / 32, 1) * 32);
}
/// As many teams as a block has room for.
inline dim3 row_teams(int64_t columns) {
  const int threads = row_threads(columns);
  return dim3(static_cast<unsigned>(threads), static_cast<unsigned>(kMostRowThreads / threads));
}
/// Most blocks of a forward: two for each multiprocessor.
inline int forward_blocks(const char* operation) {
  return 2 * multiprocessors(operation);
}
/// Blocks for `rows` rows, at most `most`.
inline int row_blocks(int64_t rows, dim3 teams, int most) {
  return static_cast<int>(std::min<int64_t>((rows + teams.y - 1) / teams.y, most));
}

/// The consecutive rows of a team, of `rows` in all.
struct RowRange {
  int64_t begin, end;
};
__device__ inline RowRange team_rows(int64_t rows) {
  const int64_t team = int64_t{blockIdx.x} * blockDim.y + threadIdx.y,
                teams = int64_t{gridDim.x} * blockDim.y;
  return {rows * team / teams, rows * (team + 1) / teams};
}

/// Sums of kCount values over the team, in each of its threads; one barrier of the team alone. `partial` may
/// be used again after one more.
template <int kCount>
__device__ void team_sums(float (&values)[kCount], float (&partial)[kCount][kWarp]) {
  const int lane = threadIdx.x % kWarp, warps = blockDim.x / kWarp, first = threadIdx.y * warps;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    values[i] = warp_sum(values[i]);
    if (warps > 1 && lane == 0) partial[i][first + threadIdx.x / kWarp] = values[i];
  }
  if (warps == 1) return __syncwarp();
  ptx::barrier(1 + threadIdx.y, blockDim.x);
#pragma unroll
  for (int i = 0; i < kCount; ++i) values[i] = warp_sum(lane < warps ? partial[i][first + lane] : 0.0f);
}

inline constexpr int kMostTileThreads = 256;

/// A row is cut into equal tiles, one to a block, of whole warps' elements.
struct Tiles {
  unsigned count;  ///< of a row
  int columns;     ///< of a tile; the last may have fewer
  explicit Tiles(int64_t row_columns) {
    constexpr int64_t kMost = int64_t{kMostTileThreads} * kRowValues, kOfWarp = kWarp * kRowValues;
    const int64_t least = (row_columns + kMost - 1) / kMost, equal = (row_columns + least - 1) / least;
    columns = static_cast<int>((equal + kOfWarp - 1) / kOfWarp * kOfWarp);
    count = static_cast<unsigned>((row_columns + columns - 1) / columns);
  }
};

/// Which elements a thread holds: its share of the 32 kRowValues consecutive ones that its warp takes. With
/// kVectors (rows_in_vectors), neighbouring lanes hold neighbouring vectors, else neighbouring elements;
/// either way a warp's accesses are coalesced, and the addresses of a thread's elements differ by constants.
template <class T, bool kVectors>
struct RowSlice {
  int columns;
  /// Neighbouring lanes that hold a row of at most lanes * kRowValues elements, a power of 2: a warp has a
  /// slice of several such rows, each of its own pointer.
  int lanes = kWarp;

  __device__ int column(int i) const {
    constexpr int kCount = kVectors ? kVector<T> : 1;
    const int warp = threadIdx.x / kWarp, lane = threadIdx.x & (lanes - 1);
    return warp * (kWarp * kRowValues) + lane * kCount + i / kCount * (lanes * kCount) + i % kCount;
  }
  __device__ bool has(int i) const { return column(i) < columns; }

  /// Elements beyond the row become 0.
  __device__ void load(const T* row, float (&held)[kRowValues]) const {
    if constexpr (kVectors) {
#pragma unroll
      for (int i = 0; i < kRowValues; i += kVector<T>) {
        if (has(i)) {
          load_vector(row + column(i), held + i);
        } else {
#pragma unroll
          for (int j = 0; j < kVector<T>; ++j) held[i + j] = 0;
        }
      }
    } else {
#pragma unroll
      for (int i = 0; i < kRowValues; ++i) held[i] = has(i) ? load_one(row + column(i)) : 0.0f;
    }
  }

  __device__ void store(T* row, const float (&held)[kRowValues]) const {
    if constexpr (kVectors) {
#pragma unroll
      for (int i = 0; i < kRowValues; i += kVector<T>) {
        if (has(i)) store_vector(row + column(i), held + i);
      }
    } else {
#pragma unroll
      for (int i = 0; i < kRowValues; ++i) {
        if (has(i)) store_one(row + column(i), held[i]);
      }
    }
  }

  /// As store, for sums in float whatever T is. Requires: with kVectors, `row` is a multiple of 16 bytes;
  /// whole warps.
  __device__ void store_sums(float* row, const float (&held)[kRowValues]) const {
    if constexpr (kVectors && sizeof(T) == sizeof(float)) {
      store(row, held);
    } else if constexpr (kVectors) {
      // A lane's eight are two vectors of floats. Neighbours swap one, so that a pair writes 32 bytes in a
      // row.
      const bool odd = threadIdx.x % 2 == 1;
#pragma unroll
      for (int i = 0; i < kRowValues; i += 8) {
        float near[4], far[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const float swapped = __shfl_xor_sync(0xffffffffu, odd ? held[i + j] : held[i + 4 + j], 1);
          near[j] = odd ? swapped : held[i + j];
          far[j] = odd ? held[i + 4 + j] : swapped;
        }
        const int at = column(i) - (odd ? 4 : 0);
        if (at < columns) store_vector(row + at, near);
        if (at + 8 < columns) store_vector(row + at + 8, far);
      }
    } else {
#pragma unroll
      for (int i = 0; i < kRowValues; ++i) {
        if (has(i)) row[column(i)] = held[i];
      }
    }
  }

  /// Requires: mode is not Ignore.
  __device__ void put(T* row, float (&held)[kRowValues], GradMode mode) const {
    if (mode == GradMode::Accumulate) {
      float before[kRowValues];
      load(row, before);
#pragma unroll
      for (int i = 0; i < kRowValues; ++i) held[i] += before[i];
    }
    store(row, held);
  }
};

/// Floats of shared memory for one value of each element of a team's row, and of each element of every
/// team's.
inline constexpr int kStagedBlock = kRowValues * kMostRowThreads;
inline int staged_row(dim3 teams) {
  return kRowValues * static_cast<int>(teams.x);
}
/// Passes rows on between the teams of a block. A warp's values lie together, 32 of its lanes side by side.
struct TeamStage {
  float* values;  ///< in shared memory

  /// Reads a row once for all teams, into staged_row(). Barriers of the whole block.
  template <class T, bool kVectors>
  __device__ void keep(const RowSlice<T, kVectors>& slice, const T* row) const {
    __syncthreads();
    if (threadIdx.y == 0) {
      float held[kRowValues];
      slice.load(row, held);
      float* own = place(0);
#pragma unroll
      for (int i = 0; i < kRowValues; ++i) own[i * kWarp] = held[i];
    }
    __syncthreads();
  }
  /// Of the row that is kept, the thread's element i.
  __device__ float kept(int i) const {
    return place(0)[i * kWarp];
  }

  /// Adds what the other teams hold to what the first holds, in order, through kStagedBlock. Barriers of the
  /// whole block.
  __device__ void add(float (&held)[kRowValues]) const {
    __syncthreads();
    float* own = place(threadIdx.y);
#pragma unroll
    for (int i = 0; i < kRowValues; ++i) own[i * kWarp] = held[i];
    __syncthreads();
    for (int team = 1; threadIdx.y == 0 && team < blockDim.y; ++team) {
      const float* others = place(team);
#pragma unroll
      for (int i = 0; i < kRowValues; ++i) held[i] += others[i * kWarp];
    }
  }

 private:
  /// Of this thread's element 0 in a team's values.
  __device__ float* place(int team) const {
    const int warp = (team * blockDim.x + threadIdx.x) / kWarp;
    return values + warp * (kWarp * kRowValues) + threadIdx.x % kWarp;
  }
};

}  // namespace prospect::kernels::cuda
