#pragma once

#include <cstdint>

#include "kernels/common/grad_mode.h"
#include "kernels/common/stream.h"

/// Layer normalisation over the last dimension.
///   y = (x - mean) * rstd * weight + bias,   rstd = 1 / sqrt(var + epsilon),  var = mean((x - mean)^2)
/// Source: Ba, Kiros, Hinton, "Layer Normalization", arXiv 1607.06450, eq. 3-4.
/// Statistics are kept in compute_t<T>. Cost, R rows of C: forward 2RC elements moved, 8RC flops;
/// backward 3RC moved, 14RC flops. Memory-bound everywhere.
namespace prospect::kernels {

template <class T>
struct LayerNormForward {
  T* y;                ///< [rows, columns]
  compute_t<T>* mean;  ///< [rows], kept for backward
  compute_t<T>* rstd;  ///< [rows], kept for backward
  const T* x;          ///< [rows, columns]
  const T* weight;     ///< [columns]
  const T* bias;       ///< [columns]
  int64_t rows, columns;
  double epsilon;
};

template <class T>
struct LayerNormBackward {
  T* dx;  ///< [rows, columns]
  GradMode dx_mode;
  T* dweight;  ///< [columns]
  GradMode dweight_mode;
  T* dbias;  ///< [columns]
  GradMode dbias_mode;
  compute_t<T>* scratch;     ///< layernorm_backward_scratch_bytes()
  const T* dy;               ///< [rows, columns]
  const T* x;                ///< [rows, columns]
  const T* weight;           ///< [columns]
  const compute_t<T>* mean;  ///< [rows]
  const compute_t<T>* rstd;  ///< [rows]
  int64_t rows, columns;
};

namespace cpu {
template <class T>
void layernorm_forward(const LayerNormForward<T>& args);
/// The sums over rows are taken in equal consecutive blocks of rows, one a thread, and added in block order.
template <class T>
void layernorm_backward(const LayerNormBackward<T>& args);
template <class T>
int64_t layernorm_backward_scratch_bytes(int64_t columns);
}  // namespace cpu

/// On device memory; float and bf16, rows of at most 8192 elements. Sums are taken in an order that depends
/// on the shape alone. Returns once the work is queued on `stream`.
namespace cuda {
template <class T>
void layernorm_forward(const LayerNormForward<T>& args, Stream stream);
template <class T>
void layernorm_backward(const LayerNormBackward<T>& args, Stream stream);
/// On the current device.
int64_t layernorm_backward_scratch_bytes(int64_t columns);
}  // namespace cuda

}  // namespace prospect::kernels
