#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/grad_mode.h"

/// Matrix product, all matrices in row order.
///   y = alpha * op(a) op(b) + bias,   op(m) = m or its transpose;  y [rows, columns], inner terms a sum
/// Cost, M rows, N columns, K terms: MK + KN + MN elements moved, 2MNK flops. Compute-bound but for a few
/// rows: up to kFewRows of them (generation) are dot products bound by reading b once.
/// Float and double go through OpenBLAS where the build has it, else through plain loops; bf16 is converted
/// to float by tiles of kTile x kTile, multiplied there, and rounded once at the end.
namespace prospect::kernels {

/// The element type of y may be wider than that of a and b: logits in float from bf16.
template <class T, class Out = T>
struct Matmul {
  Out* y;  ///< [rows, columns]
  GradMode y_mode = GradMode::Overwrite;
  std::byte* scratch = nullptr;  ///< matmul_scratch_bytes(); null where those are 0
  const T* a;                    ///< [rows, inner], or [inner, rows] if transpose_a
  const T* b;                    ///< [inner, columns], or [columns, inner] if transpose_b
  const T* bias = nullptr;       ///< [columns]; null for none
  int64_t rows, columns, inner;
  int64_t lda, ldb, ldy;  ///< elements from one stored row to the next
  bool transpose_a = false, transpose_b = false;
  double alpha = 1;
};

/// dbias = sum over rows of dy, as it arises from y = x weight^T + bias.
template <class T>
struct MatmulBiasBackward {
  T* dbias;  ///< [columns]
  GradMode dbias_mode;
  const T* dy;  ///< [rows, columns]
  int64_t rows, columns;
};

namespace cpu {

inline constexpr int64_t kFewRows = 8;
inline constexpr int64_t kTile = 512;

/// Call it from outside parallel regions: the library then uses all threads itself.
/// Throws: Error(Bug) when a size does not fit the library's 32-bit integers.
template <class T, class Out = T>
void matmul(const Matmul<T, Out>& args);
/// 0 unless T is bf16.
template <class T>
int64_t matmul_scratch_bytes(int64_t rows, int64_t columns, int64_t inner);

/// The product in plain loops, as a build without OpenBLAS computes it. T is float or double.
template <class T>
void matmul_plain(const Matmul<T>& args);

/// Each column is summed from the first row to the last, whatever the number of threads. RC elements moved.
template <class T>
void matmul_bias_backward(const MatmulBiasBackward<T>& args);

}  // namespace cpu

}  // namespace prospect::kernels
