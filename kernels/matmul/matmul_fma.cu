// Products of float in fused multiply-adds. Tiles of both operands lie in shared memory with the terms of a
// sum in rows of their own, so that a thread reads its rows and columns of y as vectors. They are copied word
// by word: any stride and alignment will do, and a transposed operand turns round on the way.
#include "kernels/matmul/matmul_tile.cuh"

namespace prospect::kernels::cuda {
namespace {

constexpr int kThreads = 256, kStages = 4;
constexpr int kTileInner = 8;
constexpr int kSide =
    4;  ///< a thread computes 2 x 2 squares of y of kSide x kSide, 64 rows and columns apart

struct Operand {
  const float* data;
  int64_t stride;
  int outer, inner;  ///< sizes: of y's dimension, and of the sum
};

/// kTileInner rows of 128 rows or columns of y. Rows are four words longer, so that neighbouring terms of
/// four rows of an operand, as they are written, lie in all 32 banks.
/// kInnerInRows: the terms of a sum lie in a row of memory.
template <bool kInnerInRows>
struct OperandTile {
  static constexpr int kRow = 128 + 4;
  static constexpr int kWords = kTileInner * kRow;

  static __device__ void copy(uint32_t tile, const Operand& from, int outer, int inner) {
    constexpr int kStep = kInnerInRows ? kThreads / kTileInner : kThreads / 128;
    const int i = kInnerInRows ? threadIdx.x / kTileInner : threadIdx.x % 128,
              k = kInnerInRows ? threadIdx.x % kTileInner : threadIdx.x / 128;
    outer += i, inner += k;
    const float* source =
        from.data + (kInnerInRows ? outer * from.stride + inner : inner * from.stride + outer);
    const uint32_t to = tile + (k * kRow + i) * 4;
#pragma unroll
    for (int j = 0; j < kTileInner * 128 / kThreads; ++j) {
      const int more = j * kStep;
      const bool present =
          outer + (kInnerInRows ? more : 0) < from.outer && inner + (kInnerInRows ? 0 : more) < from.inner;
      ptx::copy_async_word(to + more * (kInnerInRows ? 4 : kRow * 4), source + more * from.stride,
                           present ? 4 : 0);
    }
  }
};

using Accumulators = float[2][kSide][2][kSide];

__device__ void multiply_tiles(Accumulators& c, const float* a, const float* b) {
  constexpr int kRow = OperandTile<true>::kRow;
#pragma unroll
  for (int k = 0; k < kTileInner; ++k) {
    float left[2][kSide], right[2][kSide];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      load_vector(a + k * kRow + half * 64, left[half]);
      load_vector(b + k * kRow + half * 64, right[half]);
    }
#pragma unroll
    for (int i = 0; i < 2 * kSide; ++i) {
#pragma unroll
      for (int j = 0; j < 2 * kSide; ++j) {
        float& sum = c[i / kSide][i % kSide][j / kSide][j % kSide];
        sum = fmaf(left[i / kSide][i % kSide], right[j / kSide][j % kSide], sum);
      }
    }
  }
}

template <bool kTransposeA, bool kTransposeB>
__global__ void __launch_bounds__(kThreads, 2)
    matmul_fma_kernel(Matmul<float> args, Operand operand_a, Operand operand_b) {
  using A = OperandTile<!kTransposeA>;
  using B = OperandTile<kTransposeB>;
  constexpr int kStageWords = A::kWords + B::kWords;
  static_assert(kStages * kStageWords * 4 <= OutputTile::kBytes);
  extern __shared__ __align__(128) float shared[];

  const TilePlace place = TilePlace::of_block(static_cast<int>(args.rows), static_cast<int>(args.columns));
  const int steps = (static_cast<int>(args.inner) + kTileInner - 1) / kTileInner;
  const uint32_t tiles = ptx::shared_address(shared);
  const auto begin_step = [&](int step) {
    if (step < steps) {
      const uint32_t stage = tiles + step % kStages * kStageWords * 4;
      A::copy(stage, operand_a, place.row, step * kTileInner);
      B::copy(stage + A::kWords * 4, operand_b, place.column, step * kTileInner);
    }
    ptx::commit_copies();
  };

  // A warp has 4 x 8 threads, a block 4 x 2 warps: eight lanes read the same vector of a, and eight
  // neighbouring ones of b.
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int row = (warp / 2 * 4 + lane / 8) * kSide, column = (warp % 2 * 8 + lane % 8) * kSide;
  Accumulators c = {};
  for (int step = 0; step < kStages - 1; ++step) begin_step(step);
  for (int step = 0; step < steps; ++step) {
    ptx::wait_for_copies<kStages - 2>();
    __syncthreads();  // the step's tiles are here, and nobody reads those of the step before
    begin_step(step + kStages - 1);
    const float* stage = shared + step % kStages * kStageWords;
    multiply_tiles(c, stage + row, stage + A::kWords + column);
  }

  ptx::wait_for_copies<0>();
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 2 * kSide; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float(&sums)[kSide] = c[i / kSide][i % kSide][half];
      ptx::store_shared(tiles + OutputTile::offset(row + i / kSide * 64 + i % kSide, column + half * 64) * 4,
                        make_float4(sums[0], sums[1], sums[2], sums[3]));
    }
  }
  __syncthreads();
  OutputTile::write<kThreads>(shared, args, place);
}

}  // namespace

void matmul_tiled(const Matmul<float>& args, Stream stream) {
  if (args.y_mode == GradMode::Ignore || args.rows == 0 || args.columns == 0) return;
  const int inner = static_cast<int>(args.inner);
  const Operand a{args.a, args.lda, static_cast<int>(args.rows), inner},
      b{args.b, args.ldb, static_cast<int>(args.columns), inner};
  const auto kernel =
      args.transpose_a
          ? (args.transpose_b ? matmul_fma_kernel<true, true> : matmul_fma_kernel<true, false>)
          : (args.transpose_b ? matmul_fma_kernel<false, true> : matmul_fma_kernel<false, false>);
  launch_tiles(kernel, kThreads, OutputTile::kBytes, args, stream, a, b);
}

}  // namespace prospect::kernels::cuda
