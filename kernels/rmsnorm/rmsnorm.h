#pragma once

#include <cstdint>

#include "kernels/common/grad_mode.h"
#include "kernels/common/stream.h"

/// Root-mean-square normalisation over the last dimension.
///   y = x * rstd * weight,   rstd = 1 / sqrt(mean(x^2) + epsilon)
/// Source: Zhang, Sennrich, "Root Mean Square Layer Normalization", arXiv 1910.07467, eq. 4, with the epsilon
/// of transformers' LlamaRMSNorm. Statistics are kept in compute_t<T>. Cost, R rows of C: forward 2RC
/// elements moved, 4RC flops; backward 3RC moved, 10RC flops. Memory-bound everywhere.
namespace prospect::kernels {

template <class T>
struct RmsNormForward {
  T* y;                ///< [rows, columns]
  compute_t<T>* rstd;  ///< [rows], kept for backward
  const T* x;          ///< [rows, columns]
  const T* weight;     ///< [columns]
  int64_t rows, columns;
  double epsilon;
};

template <class T>
struct RmsNormBackward {
  T* dx;  ///< [rows, columns]
  GradMode dx_mode;
  T* dweight;  ///< [columns]
  GradMode dweight_mode;
  compute_t<T>* scratch;     ///< rmsnorm_backward_scratch_bytes()
  const T* dy;               ///< [rows, columns]
  const T* x;                ///< [rows, columns]
  const T* weight;           ///< [columns]
  const compute_t<T>* rstd;  ///< [rows]
  int64_t rows, columns;
};

namespace cpu {
template <class T>
void rmsnorm_forward(const RmsNormForward<T>& args);
/// The sums over rows are taken in equal consecutive blocks of rows, one a thread, and added in block order.
template <class T>
void rmsnorm_backward(const RmsNormBackward<T>& args);
template <class T>
int64_t rmsnorm_backward_scratch_bytes(int64_t columns);
}  // namespace cpu

/// On device memory; float and bf16, rows of at most 8192 elements. Sums are taken in an order that depends
/// on the shape alone. Returns once the work is queued on `stream`.
namespace cuda {
template <class T>
void rmsnorm_forward(const RmsNormForward<T>& args, Stream stream);
template <class T>
void rmsnorm_backward(const RmsNormBackward<T>& args, Stream stream);
/// On the current device.
int64_t rmsnorm_backward_scratch_bytes(int64_t columns);
}  // namespace cuda

}  // namespace prospect::kernels
