#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "kernels/common/grad_mode.h"
#include "kernels/common/stream.h"

/// Matrix product, all matrices in row order.
///   y = op(a) op(b) + bias,   op(m) = m or its transpose;  y [rows, columns], inner terms a sum
/// Cost, M rows, N columns, K terms: MK + KN + MN elements moved, 2MNK flops. Compute-bound but for a few
/// rows, as in generation, which are bound by reading b once.
/// On the CPU bf16 is summed in float and rounded once, at the end. Whatever the threads and the other rows,
/// an element of y has the same bits; in float and double also whatever the processor (matmul_ways.h).
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
};

/// dbias = sum over rows of dy, as it arises from y = x weight^T + bias.
template <class T>
struct MatmulBiasBackward {
  T* dbias;  ///< [columns]
  GradMode dbias_mode;
  const T* dy;  ///< [rows, columns]
  int64_t rows, columns;
  compute_t<T>* scratch = nullptr;  ///< cuda::matmul_bias_backward_scratch_bytes(); the CPU needs none
};

namespace cpu {

/// Uses all threads, but inside parallel regions none but the caller's.
template <class T, class Out = T>
void matmul(const Matmul<T, Out>& args);
/// A few MiB, whatever the sizes.
template <class T>
int64_t matmul_scratch_bytes(int64_t rows, int64_t columns, int64_t inner);

/// How this processor multiplies bf16, on which the bits of a product depend.
std::string matmul_backend();

/// Each column is summed from the first row to the last, whatever the number of threads. RC elements moved.
template <class T>
void matmul_bias_backward(const MatmulBiasBackward<T>& args);

}  // namespace cpu

/// On device memory. Returns once the work is queued on `stream`.
namespace cuda {

/// The products of one device: cuBLASLt with its handle and the algorithms it chose for the shapes so far
/// (matmul_cublaslt.cpp), or where that is not linked the kernels below (matmul_own.cpp). Not thread-safe.
class MatmulLibrary {
 public:
  MatmulLibrary();
  ~MatmulLibrary();
  MatmulLibrary(const MatmulLibrary&) = delete;
  MatmulLibrary& operator=(const MatmulLibrary&) = delete;

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

/// T, Out: float, float; bf16, bf16; bf16, float.
template <class T, class Out = T>
void matmul(const Matmul<T, Out>& args, MatmulLibrary& library, Stream stream);
/// Whatever the shape.
int64_t matmul_scratch_bytes();

/// The project's own product, beside the library: any sizes, strides and alignment; fastest where rows of a
/// and b begin at multiples of 16 bytes. Bf16 on tensor cores, float in plain fused multiply-adds; sums in
/// float, in an order that depends on `inner` alone. No scratch.
void matmul_tiled(const Matmul<float>& args, Stream stream);
void matmul_tiled(const Matmul<bf16>& args, Stream stream);
void matmul_tiled(const Matmul<bf16, float>& args, Stream stream);

/// Float and bf16; dy is read once. Sums in float, in an order that depends on the shape alone.
template <class T>
void matmul_bias_backward(const MatmulBiasBackward<T>& args, Stream stream);
int64_t matmul_bias_backward_scratch_bytes(int64_t columns);

}  // namespace cuda

}  // namespace prospect::kernels
