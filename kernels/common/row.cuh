#pragma once

#include <algorithm>
#include <initializer_list>

#include "kernels/common/grad_mode.h"
#include "kernels/common/vector_io.cuh"

/// A row that the threads of one block hold in their registers, kRowValues elements each.
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

/// Whether every row of `columns` elements of each of these arrays starts at a multiple of 16 bytes. Null
/// pointers do not matter.
template <class T>
bool rows_in_vectors(int64_t columns, std::initializer_list<const T*> arrays) {
  return columns % kVector<T> == 0 && std::all_of(arrays.begin(), arrays.end(), [](const T* array) {
           return reinterpret_cast<uintptr_t>(array) % 16 == 0;
         });
}

/// Which elements a thread holds. With kVectors (rows_in_vectors), neighbouring threads hold neighbouring
/// vectors where rows allow 16-byte accesses, else neighbouring elements; either way the block's accesses are
/// coalesced.
template <class T, bool kVectors>
struct RowSlice {
  int columns;

  __device__ int column(int i) const {
    constexpr int kCount = kVector<T>;
    return kVectors ? (i / kCount * blockDim.x + threadIdx.x) * kCount + i % kCount
                    : i * blockDim.x + threadIdx.x;
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

  /// As store, for sums in float whatever T is. Requires: with kVectors, `row` is a multiple of 16 bytes.
  __device__ void store_sums(float* row, const float (&held)[kRowValues]) const {
    if constexpr (kVectors) {
#pragma unroll
      for (int i = 0; i < kRowValues; i += kVector<float>) {
        if (has(i)) store_vector(row + column(i), held + i);
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

}  // namespace prospect::kernels::cuda
