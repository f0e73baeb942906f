#pragma once

#include <algorithm>
#include <limits>

#include "kernels/common/cuda_check.h"
#include "kernels/common/vector_io.cuh"
#include "kernels/matmul/matmul.h"

/// What the tiled products share. A block computes a tile of y: from tiles of a and b, of kTileInner terms
/// each, in a ring of stages in shared memory, so that the next ones are under way while one is used. The
/// finished tile goes through shared memory too, and from there to y in whole rows.
namespace prospect::kernels::cuda {

inline constexpr int kTileRows = 128, kTileColumns = 128;

/// The first row and column of y that a block computes. Blocks that run at the same time should share what
/// they read: tiles are taken in bands of kBandTiles tiles, in each column by column.
struct TilePlace {
  int row, column;

  static constexpr int kBandTiles = 8;
  static __device__ TilePlace of_block(int rows, int columns) {
    const int down = (rows + kTileRows - 1) / kTileRows, across = (columns + kTileColumns - 1) / kTileColumns;
    const int block = blockIdx.x, first = block / (kBandTiles * across) * kBandTiles;
    const int height = min(kBandTiles, down - first), within = block - first * across;
    return {(first + within % height) * kTileRows, within / height * kTileColumns};
  }
};

/// A tile of y in shared memory, in float. Groups of eight columns change places by an exclusive or with the
/// row's number: the accumulators of a warp, in four rows at a time, and parts of rows lie in all 32 banks.
struct OutputTile {
  static constexpr int kBytes = kTileRows * kTileColumns * static_cast<int>(sizeof(float));

  static __device__ int offset(int row, int column) { return row * kTileColumns + (column ^ row % 4 * 8); }

  /// y = tile + bias, as args.y_mode says. Takes kThreads threads.
  template <int kThreads, class T, class Out>
  static __device__ void write(const float* tile, const Matmul<T, Out>& args, TilePlace place) {
    const bool in_fours = reinterpret_cast<uintptr_t>(args.y) % (4 * sizeof(Out)) == 0 && args.ldy % 4 == 0;
    if (in_fours && place.row + kTileRows <= args.rows && place.column + kTileColumns <= args.columns) {
      write_whole<kThreads>(tile, args, place);
    } else {
      write_ragged<kThreads>(tile, args, place);
    }
  }

 private:
  /// A warp takes whole rows, four columns a lane, kUnderWay rows at a time.
  template <int kThreads, class T, class Out>
  static __device__ void write_whole(const float* tile, const Matmul<T, Out>& args, TilePlace place) {
    constexpr int kWarps = kThreads / 32, kUnderWay = 4;
    const int column = threadIdx.x % 32 * 4;
    float bias[4] = {};
    if (args.bias) load_four_from(bias, args.bias + place.column + column);
    for (int first = threadIdx.x / 32; first < kTileRows; first += kWarps * kUnderWay) {
      Out* y = args.y + (place.row + first) * args.ldy + place.column + column;
      float values[kUnderWay][4], before[kUnderWay][4] = {};
#pragma unroll
      for (int r = 0; r < kUnderWay; ++r) {
        load_vector(tile + offset(first + r * kWarps, column), values[r]);
        if (args.y_mode == GradMode::Accumulate) load_four(y + r * kWarps * args.ldy, before[r]);
      }
#pragma unroll
      for (int r = 0; r < kUnderWay; ++r) {
#pragma unroll
        for (int e = 0; e < 4; ++e) values[r][e] = before[r][e] + (values[r][e] + bias[e]);
        store_four(y + r * kWarps * args.ldy, values[r]);
      }
    }
  }

  /// The bias need not lie at vectors.
  template <class T>
  static __device__ void load_four_from(float (&values)[4], const T* from) {
#pragma unroll
    for (int e = 0; e < 4; ++e) values[e] = load_one(from + e);
  }

  /// A warp takes what there is of a row, neighbouring columns in neighbouring lanes.
  template <int kThreads, class T, class Out>
  static __device__ void write_ragged(const float* tile, const Matmul<T, Out>& args, TilePlace place) {
    const int height = min(kTileRows, static_cast<int>(args.rows) - place.row),
              width = min(kTileColumns, static_cast<int>(args.columns) - place.column);
    for (int row = threadIdx.x / 32; row < height; row += kThreads / 32) {
      Out* y = args.y + (place.row + row) * args.ldy + place.column;
      for (int column = threadIdx.x % 32; column < width; column += 32) {
        float value = tile[offset(row, column)];
        if (args.bias) value += load_one(args.bias + place.column + column);
        if (args.y_mode == GradMode::Accumulate) value += load_one(y + column);
        store_one(y + column, value);
      }
    }
  }
};

/// Launches `kernel`, a block of `threads` for each tile of y.
template <class T, class Out, class... More>
void launch_tiles(void (*kernel)(Matmul<T, Out>, More...), int threads, int shared_bytes,
                  const Matmul<T, Out>& args, Stream stream, const More&... more) {
  const int64_t largest = std::max({args.rows, args.columns, args.inner});
  if (largest > std::numeric_limits<int32_t>::max() - kTileRows) {
    throw Error(ExitCode::Bug, "matmul: size " + std::to_string(largest) + " is beyond 32-bit integers");
  }
  const int64_t tiles =
      ((args.rows + kTileRows - 1) / kTileRows) * ((args.columns + kTileColumns - 1) / kTileColumns);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes), "matmul");
  kernel<<<static_cast<unsigned>(tiles), threads, static_cast<size_t>(shared_bytes), stream>>>(args, more...);
  check(cudaGetLastError(), "matmul");
}

}  // namespace prospect::kernels::cuda
