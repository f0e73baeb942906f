#pragma once

#include <cstdint>

#include "kernels/common/grad_mode.h"
#include "kernels/common/stream.h"

/// Root-mean-square normalisation of every query and key head of packed rows of queries, keys and values,
/// [heads + 2 kv_heads, head_dim] each. For a head x of a token, with the weight of the queries or of the
/// keys:
///   y = x * rstd * weight,   rstd = 1 / sqrt(mean(x^2) + epsilon);      values pass through.
/// Source: Henry et al., "Query-Key Normalization for Transformers", arXiv 2010.04245, with the RMSNorm and
/// the weights of transformers' Qwen3Attention. Statistics are kept in compute_t<T>. Cost, T tokens of N
/// columns: forward 2TN elements moved, 4TN flops; backward 3TN moved, 10TN flops. Memory-bound everywhere.
namespace prospect::kernels {

/// What forward and backward share.
struct QkNormShape {
  int64_t tokens, heads, kv_heads, head_dim;
  int64_t normalised() const { return heads + kv_heads; }
  int64_t columns() const { return (heads + 2 * kv_heads) * head_dim; }
};

template <class T>
struct QkNormForward {
  T* y;                   ///< [tokens, columns()]
  compute_t<T>* rstd;     ///< [tokens, normalised()], kept for backward
  const T* x;             ///< like y
  const T* query_weight;  ///< [head_dim]
  const T* key_weight;    ///< [head_dim]
  QkNormShape shape;
  double epsilon;
};

template <class T>
struct QkNormBackward {
  T* dx;  ///< [tokens, columns()]
  GradMode dx_mode;
  T* dquery_weight;  ///< [head_dim]
  GradMode dquery_weight_mode;
  T* dkey_weight;  ///< [head_dim]
  GradMode dkey_weight_mode;
  compute_t<T>* scratch;     ///< qk_norm_backward_scratch_bytes()
  const T* dy;               ///< like dx
  const T* x;                ///< like dx
  const T* query_weight;     ///< [head_dim]
  const T* key_weight;       ///< [head_dim]
  const compute_t<T>* rstd;  ///< [tokens, normalised()]
  QkNormShape shape;
};

namespace cpu {
template <class T>
void qk_norm_forward(const QkNormForward<T>& args);
/// The sums over tokens are taken in equal consecutive blocks, one a thread, and added in block order.
template <class T>
void qk_norm_backward(const QkNormBackward<T>& args);
template <class T>
int64_t qk_norm_backward_scratch_bytes(int64_t head_dim);
}  // namespace cpu

/// On device memory; float and bf16, heads of at most 512 elements and fewer than 2^31 of them. Sums are
/// taken in an order that depends on the shape alone. Returns once the work is queued on `stream`.
namespace cuda {
template <class T>
void qk_norm_forward(const QkNormForward<T>& args, Stream stream);
template <class T>
void qk_norm_backward(const QkNormBackward<T>& args, Stream stream);
/// On the current device.
int64_t qk_norm_backward_scratch_bytes(int64_t head_dim);
}  // namespace cuda

}  // namespace prospect::kernels
