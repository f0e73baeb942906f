#pragma once

#include <cstdint>

#include "kernels/common/grad_mode.h"
#include "kernels/common/stream.h"

/// Rotary position embedding of packed rows of queries, keys and values, [heads + 2 kv_heads, head_dim] each.
///   With a = position * inverse_frequencies[i], for i < head_dim / 2 of every query and key head:
///   y[i]                = x[i] cos(a) - x[i + head_dim / 2] sin(a)
///   y[i + head_dim / 2] = x[i + head_dim / 2] cos(a) + x[i] sin(a);      values pass through.
/// The backward rotates by -a. Angles are products in double, reduced to a quadrant before they are rounded
/// to the compute type. Source: Su et al., "RoFormer", arXiv 2104.09864, eq. 34, with the pairs (i, i +
/// head_dim / 2) of transformers. Cost, T tokens of N columns: 2TN elements moved, 3TN flops, T head_dim / 2
/// sines and cosines.
namespace prospect::kernels {

/// What forward and backward share.
template <class T>
struct RotaryRows {
  compute_t<T>* scratch;     ///< rotary_scratch_bytes(): cosines and sines of each token; not used on CUDA
  const int32_t* positions;  ///< [tokens]
  const double* inverse_frequencies;  ///< [head_dim / 2]
  int64_t tokens, heads, kv_heads;
  int64_t head_dim;  ///< even
};

template <class T>
struct RotaryForward {
  T* y;        ///< [tokens, (heads + 2 kv_heads) head_dim]
  const T* x;  ///< like y
  RotaryRows<T> rows;
};

template <class T>
struct RotaryBackward {
  T* dx;  ///< [tokens, (heads + 2 kv_heads) head_dim]
  GradMode dx_mode;
  const T* dy;  ///< like dx
  RotaryRows<T> rows;
};

namespace cpu {
template <class T>
void rotary_forward(const RotaryForward<T>& args);
template <class T>
void rotary_backward(const RotaryBackward<T>& args);
template <class T>
int64_t rotary_scratch_bytes(int64_t tokens, int64_t head_dim);
}  // namespace cpu

/// On device memory; float and bf16, heads of at most 2048 elements. Returns once the work is queued on
/// `stream`.
namespace cuda {
template <class T>
void rotary_forward(const RotaryForward<T>& args, Stream stream);
template <class T>
void rotary_backward(const RotaryBackward<T>& args, Stream stream);
}  // namespace cuda

}  // namespace prospect::kernels
