// Products of bf16 on tensor cores. Tiles of the operands lie in shared memory as they do in global memory,
// whichever way they are transposed: matrix loads give fragments of them as they stand, or transposed.
#include "kernels/matmul/matmul_tile.cuh"

namespace prospect::kernels::cuda {
namespace {

constexpr int kThreads = 128, kStages = 4;
constexpr int kTileInner = 32;
constexpr int kWarpBlocks = 4;  ///< a warp computes 4 x 4 blocks of 16 x 16 elements of the tile
constexpr int kWarpSize = kWarpBlocks * 16;

/// A stored matrix; its rows are whole chunks of 16 bytes apart from their ends (in_chunks), or not.
struct Operand {
  const bf16* data;
  int64_t stride;
  int rows, columns;
  bool in_chunks;
};

/// 128 of the operand's rows or columns that are such of y too, by kTileInner of the others.
/// kInnerInRows: the terms of a sum lie in a row of memory.
template <bool kInnerInRows>
struct OperandTile {
  static constexpr int kRows = kInnerInRows ? 128 : kTileInner;
  static constexpr int kRowBytes = kInnerInRows ? kTileInner * 2 : 128 * 2;
  static constexpr int kChunks = kRowBytes / 16;
  static constexpr int kBytes = kRows * kRowBytes;

  /// Chunks change places so that the same chunk of eight consecutive rows, as a matrix load reads it, lies
  /// in all 32 banks. Shifting by 16 rows or 8 chunks does not change how.
  static constexpr __device__ int offset(int row, int chunk) {
    return row * kRowBytes + (chunk ^ (kInnerInRows ? row / 2 % 4 : row % 8)) * 16;
  }

  /// This lane's address for loading a block of 16 x 16 as fragment a of multiply_add, or as two fragments b,
  /// in the `warp`th part of kWarpSize rows or columns.
  static __device__ uint32_t lane_of_a(uint32_t tile, int warp) {
    return lane_address<kInnerInRows>(tile, warp);
  }
  static __device__ uint32_t lane_of_b(uint32_t tile, int warp) {
    return lane_address<!kInnerInRows>(tile, warp);
  }
  /// Block i of the warp's part, step k of 16 terms: one exclusive or, the rest is constant.
  static __device__ void load(uint32_t (&fragment)[4], uint32_t lane, int i, int k) {
    if constexpr (kInnerInRows) {
      ptx::load_matrices(fragment, (lane ^ k * 32) + i * 16 * kRowBytes);
    } else {
      ptx::load_matrices_transposed(fragment, (lane ^ i * 32) + k * 16 * kRowBytes);
    }
  }

  /// Begins to copy what the operand has from (row, column) on; the rest of the tile becomes zeros.
  static __device__ void copy(std::byte* tile, const Operand& from, int row, int column) {
    constexpr int kStep = kThreads / kChunks;
    const int chunk = threadIdx.x % kChunks, first = threadIdx.x / kChunks;
    std::byte* to = tile + offset(first, chunk);
    column += chunk * 8;
    row += first;
    const bf16* source = from.data + row * from.stride + column;
    const int present = std::clamp(from.columns - column, 0, 8);
    if (from.in_chunks) {
      const uint32_t address = ptx::shared_address(to);
#pragma unroll
      for (int j = 0; j < kRows / kStep; ++j) {
        ptx::copy_async(address + j * kStep * kRowBytes, source + j * kStep * from.stride,
                        row + j * kStep < from.rows ? present * 2 : 0);
      }
      return;
    }
#pragma unroll 1
    for (int j = 0; j < kRows / kStep; ++j) {
      gather(to + j * kStep * kRowBytes, source + j * kStep * from.stride,
             row + j * kStep < from.rows ? present : 0);
    }
  }

 private:
  template <bool kByRows>
  static __device__ uint32_t lane_address(uint32_t tile, int warp) {
    const int lane = threadIdx.x % 32;
    const int row = kByRows ? lane % 16 : lane % 8 + lane / 16 * 8;
    const int chunk = kByRows ? lane / 16 : lane / 8 % 2;
    return tile + offset(row, chunk) + warp * kWarpSize * (kInnerInRows ? kRowBytes : 2);
  }

  static __device__ void gather(std::byte* to, const bf16* from, int present) {
    uint32_t words[4] = {};
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      if (e < present) words[e / 2] |= static_cast<uint32_t>(from[e].bits) << e % 2 * 16;
    }
    *reinterpret_cast<uint4*>(to) = make_uint4(words[0], words[1], words[2], words[3]);
  }
};

/// Accumulators of a warp: c[i][2 n + m] is block i of its rows, columns 8 m of block n.
using Accumulators = float[kWarpBlocks][2 * kWarpBlocks][4];

template <class A, class B>
__device__ void multiply_tiles(Accumulators& c, uint32_t a, uint32_t b) {
#pragma unroll
  for (int k = 0; k < kTileInner / 16; ++k) {
    uint32_t left[kWarpBlocks][4];
#pragma unroll
    for (int i = 0; i < kWarpBlocks; ++i) A::load(left[i], a, i, k);
#pragma unroll
    for (int n = 0; n < kWarpBlocks; ++n) {
      uint32_t right[4];
      B::load(right, b, n, k);
#pragma unroll
      for (int i = 0; i < kWarpBlocks; ++i) {
        ptx::multiply_add(c[i][2 * n], left[i], right[0], right[1]);
        ptx::multiply_add(c[i][2 * n + 1], left[i], right[2], right[3]);
      }
    }
  }
}

/// A lane has two neighbours of each of eight rows and the eight below: see ptx::multiply_add.
__device__ void store(uint32_t tile, const Accumulators& c, int warp_row, int warp_column) {
  const int lane = threadIdx.x % 32;
  const int row = warp_row * kWarpSize + lane / 4, column = warp_column * kWarpSize + lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < kWarpBlocks; ++i) {
#pragma unroll
    for (int n = 0; n < 2 * kWarpBlocks; ++n) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        ptx::store_shared(tile + OutputTile::offset(row + i * 16 + h * 8, column + n * 8) * 4,
                          make_float2(c[i][n][2 * h], c[i][n][2 * h + 1]));
      }
    }
  }
}

template <bool kTransposeA, bool kTransposeB, class Out>
__global__ void __launch_bounds__(kThreads, 2)
    matmul_mma_kernel(Matmul<bf16, Out> args, Operand operand_a, Operand operand_b) {
  using A = OperandTile<!kTransposeA>;
  using B = OperandTile<kTransposeB>;
  constexpr int kStageBytes = A::kBytes + B::kBytes;
  static_assert(kStages * kStageBytes <= OutputTile::kBytes);
  extern __shared__ __align__(128) std::byte shared[];

  const TilePlace place = TilePlace::of_block(static_cast<int>(args.rows), static_cast<int>(args.columns));
  const int warp = threadIdx.x / 32, warp_row = warp / 2, warp_column = warp % 2;
  const int steps = (static_cast<int>(args.inner) + kTileInner - 1) / kTileInner;
  const auto begin_step = [&](int step) {
    if (step < steps) {
      std::byte* stage = shared + step % kStages * kStageBytes;
      const int inner = step * kTileInner;
      A::copy(stage, operand_a, kTransposeA ? inner : place.row, kTransposeA ? place.row : inner);
      B::copy(stage + A::kBytes, operand_b, kTransposeB ? place.column : inner,
              kTransposeB ? inner : place.column);
    }
    ptx::commit_copies();
  };

  const uint32_t tiles = ptx::shared_address(shared);
  const uint32_t a = A::lane_of_a(tiles, warp_row), b = B::lane_of_b(tiles + A::kBytes, warp_column);
  Accumulators c = {};
  for (int step = 0; step < kStages - 1; ++step) begin_step(step);
  for (int step = 0; step < steps; ++step) {
    ptx::wait_for_copies<kStages - 2>();
    __syncthreads();  // the step's tiles are here, and nobody reads those of the step before
    begin_step(step + kStages - 1);
    const uint32_t stage = step % kStages * kStageBytes;
    multiply_tiles<A, B>(c, a + stage, b + stage);
  }

  ptx::wait_for_copies<0>();
  __syncthreads();
  store(tiles, c, warp_row, warp_column);
  __syncthreads();
  OutputTile::write<kThreads>(reinterpret_cast<const float*>(shared), args, place);
}

Operand operand(const bf16* data, int64_t stride, int64_t rows, int64_t columns) {
  return {data, stride, static_cast<int>(rows), static_cast<int>(columns),
          reinterpret_cast<uintptr_t>(data) % 16 == 0 && stride % 8 == 0};
}

template <class Out>
void multiply(const Matmul<bf16, Out>& args, Stream stream) {
  if (args.y_mode == GradMode::Ignore || args.rows == 0 || args.columns == 0) return;
  const Operand a = args.transpose_a ? operand(args.a, args.lda, args.inner, args.rows)
                                     : operand(args.a, args.lda, args.rows, args.inner);
  const Operand b = args.transpose_b ? operand(args.b, args.ldb, args.columns, args.inner)
                                     : operand(args.b, args.ldb, args.inner, args.columns);
  const auto kernel =
      args.transpose_a
          ? (args.transpose_b ? matmul_mma_kernel<true, true, Out> : matmul_mma_kernel<true, false, Out>)
          : (args.transpose_b ? matmul_mma_kernel<false, true, Out> : matmul_mma_kernel<false, false, Out>);
  launch_tiles(kernel, kThreads, OutputTile::kBytes, args, stream, a, b);
}

}  // namespace

void matmul_tiled(const Matmul<bf16>& args, Stream stream) {
  multiply(args, stream);
}
void matmul_tiled(const Matmul<bf16, float>& args, Stream stream) {
  multiply(args, stream);
}

}  // namespace prospect::kernels::cuda
