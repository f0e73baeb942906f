#pragma once

#include "kernels/attention/attention_sequence.cuh"
#include "kernels/common/vector_io.cuh"

/// Tiles of bf16 in shared memory, and products of them on tensor cores. A warp holds its part of a product
/// as fragments of 16 x 16 elements: c[i][2 n + m] is rows 16 i and columns 16 n + 8 m of it
/// (ptx::multiply_add says which lane has what).
namespace prospect::kernels::cuda {

/// kRows x kWidth elements, in panels of 64 columns: rows of 128 bytes, whose chunks of 16 bytes change
/// places by an exclusive or with the row's number. So a chunk of eight consecutive rows, and a whole row,
/// lie in all 32 banks: matrix loads, copies and stores by rows take one pass each.
template <int kRows_, int kWidth>
struct Tile {
  static constexpr int kRows = kRows_;
  static constexpr int kBlocks = kWidth / 16;  ///< of 16 columns
  static constexpr int kChunks = 8;            ///< of a row of a panel
  static constexpr int kPanels = kWidth / 64;
  static constexpr int kRowBytes = 128;
  static constexpr int kPanelBytes = kRows * kRowBytes;
  static constexpr int kBytes = kPanels * kPanelBytes;

  static constexpr __device__ int offset(int row, int chunk) {
    return chunk / kChunks * kPanelBytes + row * kRowBytes + (chunk % kChunks ^ row % kChunks) * 16;
  }

  /// This lane's place for loading the block of rows 0-15, columns 0-15 as a fragment a of multiply_add, or
  /// transposed as fragments b of columns 0-7 and 8-15.
  static __device__ uint32_t lane_by_rows() {
    const int lane = threadIdx.x % kWarp;
    return offset(lane % 16, lane / 16);
  }
  /// For loading it as fragments b of the transposed block: of rows 0-7 and of rows 8-15.
  static __device__ uint32_t lane_by_columns() {
    const int lane = threadIdx.x % kWarp;
    return offset(lane % 8 + lane / 16 * 8, lane / 8 % 2);
  }
  /// The same for the block of rows 16 i, columns 16 n: one exclusive or, the rest is constant.
  static __device__ uint32_t block(uint32_t lane_place, int i, int n) {
    return (lane_place ^ n % 4 * 32) + n / 4 * kPanelBytes + i * 16 * kRowBytes;
  }

  /// Where this thread begins to read what it copies from a row and a column.
  static __device__ const bf16* lane_source(const bf16* from, int stride, int row, int column) {
    const int thread = static_cast<int>(threadIdx.x);
    return from + int64_t{stride} * (row + thread / kChunks) + (column + thread % kChunks * 8);
  }
  /// Begins to copy the first `columns` of `rows` rows, and puts zeros in the others. Takes kThreads threads,
  /// each with its lane_source.
  template <int kThreads>
  static __device__ void copy(uint32_t tile, const bf16* source, int stride, int rows, int columns) {
    constexpr int kStep = kThreads / kChunks;
    static_assert(kRows % kStep == 0 && kStep % kChunks == 0);
    const int chunk = threadIdx.x % kChunks, first = threadIdx.x / kChunks;
    const uint32_t to = tile + offset(first, chunk);
#pragma unroll
    for (int row = 0; row < kRows; row += kStep) {
#pragma unroll
      for (int panel = 0; panel < kPanels; ++panel) {
        const bool present = first + row < rows && panel * 64 + chunk * 8 < columns;
        ptx::copy_async(to + row * kRowBytes + panel * kPanelBytes, source + panel * 64, present ? 16 : 0);
      }
      source += kStep * stride;
    }
  }
};

template <int kRowBlocks, int kTiles>
__device__ inline void clear(float (&c)[kRowBlocks][kTiles][4]) {
#pragma unroll
  for (int i = 0; i < kRowBlocks; ++i) {
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) c[i][n][e] = 0;
    }
  }
}

/// c += left b^T in block `k` of the columns of both: b is the address of the first rows in tile B, lane_b
/// what B::lane_by_columns() says.
template <class B, int kRowBlocks, int kTiles>
__device__ inline void multiply_step(float (&c)[kRowBlocks][kTiles][4], const uint32_t (&left)[kRowBlocks][4],
                                     uint32_t b, uint32_t lane_b, int k) {
#pragma unroll
  for (int n = 0; n < kTiles / 2; ++n) {
    uint32_t right[4];
    ptx::load_matrices(right, b + B::block(lane_b, n, k));
#pragma unroll
    for (int i = 0; i < kRowBlocks; ++i) {
      ptx::multiply_add(c[i][2 * n], left[i], right[0], right[1]);
      ptx::multiply_add(c[i][2 * n + 1], left[i], right[2], right[3]);
    }
  }
}

/// Block k of the columns of the rows at address a in tile A.
template <class A, int kRowBlocks>
__device__ inline void load_rows(uint32_t (&left)[kRowBlocks][4], uint32_t a, uint32_t lane_a, int k) {
#pragma unroll
  for (int i = 0; i < kRowBlocks; ++i) ptx::load_matrices(left[i], a + A::block(lane_a, i, k));
}

/// c += a b^T over the blocks of columns from `first` on, of `blocks`; a and b are addresses of the warp's
/// first rows in tiles A and B.
template <class A, class B, int kRowBlocks, int kTiles>
__device__ inline void add_product_by_rows(float (&c)[kRowBlocks][kTiles][4], uint32_t a, uint32_t b,
                                           int first, int blocks) {
  const uint32_t lane_a = A::lane_by_rows(), lane_b = B::lane_by_columns();
  // A panel at a time: loads from further ahead would need more registers than there are.
#pragma unroll 4
  for (int k = first; k < A::kBlocks; ++k) {
    if (k >= blocks) break;
    uint32_t left[kRowBlocks][4];
    load_rows<A>(left, a, lane_a, k);
    multiply_step<B>(c, left, b, lane_b, k);
  }
}

/// c = a b^T over the first `blocks` blocks of columns; a and b are addresses of the warp's first rows in
/// tiles A and B.
template <class A, class B, int kRowBlocks, int kTiles>
__device__ inline void multiply_by_rows(float (&c)[kRowBlocks][kTiles][4], uint32_t a, uint32_t b,
                                        int blocks) {
  clear(c);
  add_product_by_rows<A, B>(c, a, b, 0, blocks);
}

/// c += a b in the first `blocks` blocks of columns: a in registers (round_to_fragments), b the address in
/// tile B of the row that belongs to column 0 of a, in the warp's first panel.
template <class B, int kRowBlocks, int kSteps, int kTiles>
__device__ inline void multiply_fragments(float (&c)[kRowBlocks][kTiles][4],
                                          const uint32_t (&a)[kRowBlocks][kSteps][4], uint32_t b,
                                          int blocks) {
  const uint32_t lane_b = B::lane_by_rows();
  __syncwarp();  // keeps loads of b behind what made a, whose registers they need
#pragma unroll
  for (int k = 0; k < kSteps; ++k) {
#pragma unroll
    for (int n = 0; n < kTiles / 2; ++n) {
      if (n >= blocks) break;
      uint32_t right[4];
      ptx::load_matrices_transposed(right, b + B::block(lane_b, k, n));
#pragma unroll
      for (int i = 0; i < kRowBlocks; ++i) {
        ptx::multiply_add(c[i][2 * n], a[i][k], right[0], right[1]);
        ptx::multiply_add(c[i][2 * n + 1], a[i][k], right[2], right[3]);
      }
    }
  }
}

/// A product as the left side of the next: a lane holds the same elements of both.
template <int kRowBlocks, int kSteps>
__device__ inline void round_to_fragments(uint32_t (&a)[kRowBlocks][kSteps][4],
                                          const float (&c)[kRowBlocks][2 * kSteps][4]) {
#pragma unroll
  for (int i = 0; i < kRowBlocks; ++i) {
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        a[i][k][r] = ptx::round_to_bf16x2(c[i][2 * k + r / 2][r % 2 * 2], c[i][2 * k + r / 2][r % 2 * 2 + 1]);
      }
    }
  }
}

/// Makes the scores of keys that a query does not see -infinity: queries along the rows, or along the columns
/// where kKeysByRows. `behind` as in Meeting.
template <bool kKeysByRows, int kRowBlocks, int kTiles>
__device__ inline void hide_unseen(float (&scores)[kRowBlocks][kTiles][4], int behind, int window) {
  const int lane = threadIdx.x % kWarp, lane_row = lane / 4, lane_column = lane % 4 * 2;
  behind += kKeysByRows ? lane_column - lane_row : lane_row - lane_column;
#pragma unroll
  for (int i = 0; i < kRowBlocks; ++i) {
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int row = 16 * i + e / 2 * 8, column = 8 * n + e % 2;
        const int distance = behind + (kKeysByRows ? column - row : row - column);
        if (static_cast<unsigned>(distance) >= static_cast<unsigned>(window)) scores[i][n][e] = -INFINITY;
      }
    }
  }
}

/// Writes factor[i][h] * c into `rows` rows, the first `columns` columns of each, as `mode` says. `staging`
/// is the warp's own part of a Tile: kRowBlocks * 16 rows at a multiple of 16, whole chunks from first_chunk.
/// There the fragments meet, so that memory sees whole rows of 16-byte accesses.
template <class Tile, int kRowBlocks, int kTiles>
__device__ inline void put_rows(uint8_t* staging, int first_chunk, const float (&c)[kRowBlocks][kTiles][4],
                                const float (&factor)[kRowBlocks][2], bf16* to, int64_t stride, int rows,
                                int columns, GradMode mode) {
  const int lane = threadIdx.x % kWarp, column = lane % 4 * 2;
  const auto for_chunks = [&](const auto& body) {
    for (int i = lane; i < kRowBlocks * 16 * kTiles; i += kWarp) {
      const int row = i / kTiles, chunk = i % kTiles;
      if (row >= rows || chunk * 8 >= columns) continue;
      body(*reinterpret_cast<uint4*>(staging + Tile::offset(row, first_chunk + chunk)),
           *reinterpret_cast<uint4*>(to + row * stride + chunk * 8));
    }
    __syncwarp();
  };
  __syncwarp();
  if (mode == GradMode::Accumulate) for_chunks([](uint4& staged, const uint4& stored) { staged = stored; });
#pragma unroll
  for (int i = 0; i < kRowBlocks; ++i) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int row = 16 * i + 8 * h + lane / 4;
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
        auto& pair = *reinterpret_cast<uint32_t*>(staging + Tile::offset(row, first_chunk + n) + 2 * column);
        float low = factor[i][h] * c[i][n][2 * h], high = factor[i][h] * c[i][n][2 * h + 1];
        if (mode == GradMode::Accumulate && row < rows && n * 8 < columns) {
          low += __uint_as_float(pair << 16), high += __uint_as_float(pair & 0xffff0000u);
        }
        pair = ptx::round_to_bf16x2(low, high);
      }
    }
  }
  __syncwarp();
  for_chunks([](const uint4& staged, uint4& stored) { stored = staged; });
}

}  // namespace prospect::kernels::cuda
