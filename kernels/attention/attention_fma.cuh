#pragma once

#include "kernels/attention/attention_sequence.cuh"
#include "kernels/common/vector_io.cuh"

/// Square tiles of attention in float, for blocks of 16 x 16 threads. Thread (x, y) holds rows y + 16 r and
/// columns x + 16 s of a tile of scores, columns 4 x + 64 j and the next three of rows of head_dim elements.
namespace prospect::kernels::cuda {

inline constexpr int kSide = 16;

/// kTile: rows of a tile. The widest head dimension takes fewer rows, so that its tiles fit shared memory.
template <int kTile>
struct FmaTile {
  static constexpr int kRows = kTile / kSide;           ///< of a thread
  static constexpr int kVectors = kTile == 32 ? 2 : 4;  ///< of four columns, of a thread
  static constexpr int kWidest = 64 * kVectors;

  using Scores = float[kRows][kRows];
  using Sums = float[kRows][kVectors][4];

  /// The floats of a tile of rows: four more a row, so that the same column of eight rows lies in all banks.
  static __host__ __device__ int row_floats(int head_dim) { return head_dim + 4; }
  static __host__ __device__ int tile_floats(int head_dim) { return kTile * row_floats(head_dim); }
  static constexpr int kWeightFloats = kTile * (kTile + 1);

  /// Calls body(row, column) for the thread's vectors of a tile of rows.
  template <class Body>
  static __device__ void for_vectors(int head_dim, const Body& body) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int j = 0; j < kVectors; ++j) {
        const int column = threadIdx.x * 4 + j * 64;
        if (column < head_dim) body(r, j, threadIdx.y + kSide * r, column);
      }
    }
  }

  /// Copies `rows` rows; the others become zeros.
  static __device__ void load(float* tile, const float* from, int64_t stride, int rows, int head_dim) {
    for_vectors(head_dim, [&](int, int, int row, int column) {
      float values[4] = {0, 0, 0, 0};
      if (row < rows) load_vector(from + row * stride + column, values);
      *reinterpret_cast<float4*>(tile + row * row_floats(head_dim) + column) =
          make_float4(values[0], values[1], values[2], values[3]);
    });
  }

  /// scores = a b^T
  static __device__ void multiply_by_rows(Scores& scores, const float* a, const float* b, int head_dim) {
    const int stride = row_floats(head_dim);
    a += threadIdx.y * stride, b += threadIdx.x * stride;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int s = 0; s < kRows; ++s) scores[r][s] = 0;
    }
    for (int c = 0; c < head_dim; c += 4) {
      float left[kRows][4], right[kRows][4];
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        load_vector(a + r * kSide * stride + c, left[r]);
        load_vector(b + r * kSide * stride + c, right[r]);
      }
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
#pragma unroll
        for (int s = 0; s < kRows; ++s) {
#pragma unroll
          for (int e = 0; e < 4; ++e) scores[r][s] += left[r][e] * right[s][e];
        }
      }
    }
  }

  static __device__ void store_weights(float* tile, const Scores& weights) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int s = 0; s < kRows; ++s) {
        tile[(threadIdx.y + kSide * r) * (kTile + 1) + threadIdx.x + kSide * s] = weights[r][s];
      }
    }
  }

  /// sums += weights b, the thread's own rows of weights.
  static __device__ void add_weighted(Sums& sums, const float* weights, const float* b, int head_dim) {
    for (int k = 0; k < kTile; ++k) {
      float weight[kRows];
#pragma unroll
      for (int r = 0; r < kRows; ++r) weight[r] = weights[(threadIdx.y + kSide * r) * (kTile + 1) + k];
#pragma unroll
      for (int j = 0; j < kVectors; ++j) {
        const int column = threadIdx.x * 4 + j * 64;
        if (column >= head_dim) break;
        float values[4];
        load_vector(b + k * row_floats(head_dim) + column, values);
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
#pragma unroll
          for (int e = 0; e < 4; ++e) sums[r][j][e] += weight[r] * values[e];
        }
      }
    }
  }

  static __device__ void clear(Sums& sums) {
#pragma unroll
    for (int i = 0; i < kRows * kVectors * 4; ++i) (&sums[0][0][0])[i] = 0;
  }

  /// Puts factor[r] * sums into `rows` rows.
  static __device__ void put(const Sums& sums, const float (&factor)[kRows], float* to, int64_t stride,
                             int rows, int head_dim, GradMode mode) {
    for_vectors(head_dim, [&](int r, int j, int row, int column) {
      if (row >= rows) return;
      float values[4] = {0, 0, 0, 0};
      if (mode == GradMode::Accumulate) load_vector(to + row * stride + column, values);
#pragma unroll
      for (int e = 0; e < 4; ++e) values[e] += factor[r] * sums[r][j][e];
      store_vector(to + row * stride + column, values);
    });
  }
};

/// Over the 16 threads that share their rows, in each of them.
__device__ inline float row_sum(float value) {
#pragma unroll
  for (int distance = kSide / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  }
  return value;
}
__device__ inline float row_maximum(float value) {
#pragma unroll
  for (int distance = kSide / 2; distance > 0; distance /= 2) {
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
  }
  return value;
}

}  // namespace prospect::kernels::cuda
