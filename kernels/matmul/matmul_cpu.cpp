#include <algorithm>
#include <string>
#include <type_traits>

#include "kernels/common/parallel.h"
#include "kernels/matmul/matmul_pairs.h"
#include "kernels/matmul/matmul_ways.h"

namespace prospect::kernels::cpu {

namespace {

constexpr int64_t kRoundedRows = 576, kRoundedColumns = 4096;  // whose sums are held at a time
constexpr int64_t kStrip = 128;                                // columns of a bias summed together

/// Whether this processor multiplies T in pairs. Their tiles add in another order, so that few rows must go
/// the same way as many.
template <class T>
bool sums_pairs() {
  return std::is_same_v<T, bf16> && (AmxTile::usable() || Avx512PairTile::usable());
}

template <class T>
void sums(const Matmul<T, compute_t<T>>& args) {
  if (args.rows <= kFewRows && !args.transpose_a && args.transpose_b && !sums_pairs<T>()) {
    matmul_few_rows<T>(args);
  } else {
    matmul_blocked(args);
  }
}

/// The part of y from (row, column) on: its sums in float, then one rounding.
template <class T>
void rounded_block(const Matmul<T>& args, int64_t row, int64_t column) {
  const int64_t rows = std::min(kRoundedRows, args.rows - row);
  const int64_t columns = std::min(kRoundedColumns, args.columns - column);
  float* y = reinterpret_cast<float*>(args.scratch);
  sums<T>({.y = y,
           .scratch = reinterpret_cast<std::byte*>(y + rows * columns),
           .a = args.a + row * (args.transpose_a ? 1 : args.lda),
           .b = args.b + column * (args.transpose_b ? args.ldb : 1),
           .bias = args.bias ? args.bias + column : nullptr,
           .rows = rows,
           .columns = columns,
           .inner = args.inner,
           .lda = args.lda,
           .ldb = args.ldb,
           .ldy = columns,
           .transpose_a = args.transpose_a,
           .transpose_b = args.transpose_b});
  parallel_for(rows, [&](int64_t r) {
    T* to = args.y + (row + r) * args.ldy + column;
    with_mode(args.y_mode, [&](auto mode) {
      for (int64_t c = 0; c < columns; ++c) put(to[c], y[r * columns + c], mode);
    });
  });
}

}  // namespace

std::string matmul_backend() {
  if (AmxTile::usable()) return "AMX";
  return Avx512PairTile::usable() ? "AVX512_BF16" : "float";
}

template <class T, class Out>
void matmul(const Matmul<T, Out>& args) {
  if (args.y_mode == GradMode::Ignore || args.rows == 0 || args.columns == 0) return;
  if constexpr (std::is_same_v<Out, compute_t<T>>) {
    sums<T>(args);
  } else if (sums_pairs<T>() && args.inner <= matmul_blocked_part<T>(args.inner)) {
    matmul_blocked(args);
  } else {
    for (int64_t row = 0; row < args.rows; row += kRoundedRows) {
      for (int64_t column = 0; column < args.columns; column += kRoundedColumns) {
        rounded_block(args, row, column);
      }
    }
  }
}

template <class T>
int64_t matmul_scratch_bytes(int64_t rows, int64_t columns, int64_t inner) {
  const int64_t blocked = matmul_blocked_scratch_bytes<T>(rows, inner);
  if constexpr (std::is_same_v<T, compute_t<T>>) return blocked;
  return std::min(rows, kRoundedRows) * std::min(columns, kRoundedColumns) * int64_t{sizeof(float)} + blocked;
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
