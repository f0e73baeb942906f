#include "kernels/matmul/matmul.h"

#include <algorithm>
#include <string>
#include <type_traits>

#include "kernels/common/parallel.h"
#include "kernels/matmul/matmul_library.h"

namespace prospect::kernels::cpu {

namespace {

constexpr int64_t kLanes = 16;      // independent sums of a dot product: two registers of floats
constexpr int64_t kRowsAtOnce = 4;  // dot products that share one pass over a row of b
constexpr int64_t kStrip = 128;     // columns summed together

/// out[r] = x_r . w for R rows of x, each in kLanes sums that are added in order.
template <int R, class T>
void dot_products(const T* x, int64_t ldx, const T* w, int64_t inner, compute_t<T>* out) {
  using C = compute_t<T>;
  C sums[R][kLanes] = {};
  const int64_t whole = inner - inner % kLanes;
  for (int64_t k = 0; k < whole; k += kLanes) {
    for (int r = 0; r < R; ++r) {
#pragma omp simd
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        sums[r][lane] += load(x[r * ldx + k + lane]) * load(w[k + lane]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    C sum = 0;
    for (int64_t lane = 0; lane < kLanes; ++lane) sum += sums[r][lane];
    for (int64_t k = whole; k < inner; ++k) sum += load(x[r * ldx + k]) * load(w[k]);
    out[r] = sum;
  }
}

/// A few rows times the transpose of b: every row of b is read once, by one thread.
template <class T, class Out>
void matmul_few_rows(const Matmul<T, Out>& args) {
  using C = compute_t<T>;
  const C alpha = static_cast<C>(args.alpha);
  parallel_for(args.columns, [&](int64_t column) {
    const T* w = args.b + column * args.ldb;
    const C bias = args.bias ? load(args.bias[column]) : C{0};
    C dots[kFewRows];
    int64_t row = 0;
    for (; row + kRowsAtOnce <= args.rows; row += kRowsAtOnce) {
      dot_products<kRowsAtOnce>(args.a + row * args.lda, args.lda, w, args.inner, dots + row);
    }
    for (; row < args.rows; ++row) {
      dot_products<1>(args.a + row * args.lda, args.lda, w, args.inner, dots + row);
    }
    for (row = 0; row < args.rows; ++row) {
      put(args.y[row * args.ldy + column], static_cast<compute_t<Out>>(alpha * dots[row] + bias),
          args.y_mode);
    }
  });
}

/// Through the library where that is faster, else by our own hand.
template <class T>
void whole_product(const Matmul<T>& args) {
  if constexpr (std::is_same_v<T, float>) {
    if (onednn_is_faster<T>() && onednn_product(args)) return;
  }
  matmul_blocked(args);
}

/// A part of a matrix as floats. `packed` gets it row by row.
struct Tile {
  int64_t rows, columns;
};
void convert_tile(float* packed, const bf16* matrix, int64_t stride, Tile tile) {
  parallel_for(tile.rows, [&](int64_t row) {
    const bf16* from = matrix + row * stride;
    float* to = packed + row * tile.columns;
#pragma omp simd
    for (int64_t c = 0; c < tile.columns; ++c) to[c] = load(from[c]);
  });
}

/// The tile of y that begins at (row0, column0): its whole sum in float, then one rounding.
template <class Out>
void converted_tile(const Matmul<bf16, Out>& args, int64_t row0, int64_t column0) {
  const int64_t height = std::min(args.rows - row0, kTile), width = std::min(args.columns - column0, kTile);
  float* a = reinterpret_cast<float*>(args.scratch);
  float* b = a + std::min(args.rows, kTile) * std::min(args.inner, kTile);
  float* y = b + std::min(args.inner, kTile) * std::min(args.columns, kTile);
  // At least one pass, so that an empty sum gives 0.
  for (int64_t k0 = 0; k0 == 0 || k0 < args.inner; k0 += kTile) {
    const int64_t depth = std::min(args.inner - k0, kTile);
    const Tile a_tile = args.transpose_a ? Tile{depth, height} : Tile{height, depth};
    const Tile b_tile = args.transpose_b ? Tile{width, depth} : Tile{depth, width};
    convert_tile(a, args.a + (args.transpose_a ? k0 * args.lda + row0 : row0 * args.lda + k0), args.lda,
                 a_tile);
    convert_tile(b, args.b + (args.transpose_b ? column0 * args.ldb + k0 : k0 * args.ldb + column0), args.ldb,
                 b_tile);
    whole_product<float>({.y = y,
                          .y_mode = k0 == 0 ? GradMode::Overwrite : GradMode::Accumulate,
                          .scratch = reinterpret_cast<std::byte*>(y + height * width),
                          .a = a,
                          .b = b,
                          .rows = height,
                          .columns = width,
                          .inner = depth,
                          .lda = a_tile.columns,
                          .ldb = b_tile.columns,
                          .ldy = width,
                          .transpose_a = args.transpose_a,
                          .transpose_b = args.transpose_b,
                          .alpha = args.alpha});
  }
  parallel_for(height, [&](int64_t row) {
    Out* to = args.y + (row0 + row) * args.ldy + column0;
    for (int64_t c = 0; c < width; ++c) {
      const float bias = args.bias ? load(args.bias[column0 + c]) : 0.0f;
      put(to[c], y[row * width + c] + bias, args.y_mode);
    }
  });
}

}  // namespace

std::string matmul_backend() {
  const std::string library = onednn_words();
  return library.empty() ? "own" : "own; " + library;
}

template <class T, class Out>
void matmul(const Matmul<T, Out>& args) {
  if (args.y_mode == GradMode::Ignore || args.rows == 0 || args.columns == 0) return;
  if (args.rows <= kFewRows && !args.transpose_a && args.transpose_b) {
    matmul_few_rows(args);
  } else if constexpr (std::is_same_v<T, bf16>) {
    if (onednn_is_faster<T>() && onednn_product(args)) return;
    for (int64_t column = 0; column < args.columns; column += kTile) {
      for (int64_t row = 0; row < args.rows; row += kTile) converted_tile(args, row, column);
    }
  } else {
    whole_product(args);
  }
}

template <class T>
int64_t matmul_scratch_bytes(int64_t rows, int64_t columns, int64_t inner) {
  if constexpr (std::is_same_v<T, bf16>) {
    const int64_t m = std::min(rows, kTile), n = std::min(columns, kTile), k = std::min(inner, kTile);
    return (m * k + k * n + m * n) * int64_t{sizeof(float)} + matmul_blocked_scratch_bytes<float>(m, k);
  } else {
    return matmul_blocked_scratch_bytes<T>(rows, inner);
  }
}

template <class T>
void matmul_bias_backward(const MatmulBiasBackward<T>& args) {
  using C = compute_t<T>;
  if (args.dbias_mode == GradMode::Ignore) return;
  parallel_for((args.columns + kStrip - 1) / kStrip, [&](int64_t strip) {
    const int64_t begin = strip * kStrip, width = std::min(kStrip, args.columns - begin);
    C sums[kStrip] = {};
    for (int64_t row = 0; row < args.rows; ++row) {
      const T* dy = args.dy + row * args.columns + begin;
#pragma omp simd
      for (int64_t c = 0; c < width; ++c) sums[c] += load(dy[c]);
    }
    for (int64_t c = 0; c < width; ++c) put(args.dbias[begin + c], sums[c], args.dbias_mode);
  });
}

template void matmul(const Matmul<float, float>&);
template void matmul(const Matmul<double, double>&);
template void matmul(const Matmul<bf16, bf16>&);
template void matmul(const Matmul<bf16, float>&);
template int64_t matmul_scratch_bytes<float>(int64_t, int64_t, int64_t);
template int64_t matmul_scratch_bytes<double>(int64_t, int64_t, int64_t);
template int64_t matmul_scratch_bytes<bf16>(int64_t, int64_t, int64_t);
template void matmul_bias_backward(const MatmulBiasBackward<float>&);
template void matmul_bias_backward(const MatmulBiasBackward<double>&);
template void matmul_bias_backward(const MatmulBiasBackward<bf16>&);

}  // namespace prospect::kernels::cpu
