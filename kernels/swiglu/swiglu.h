#pragma once

#include <cstdint>

#include "kernels/common/grad_mode.h"
#include "kernels/common/stream.h"

/// The gated unit of Llama-like feed-forward layers.
///   y = silu(gate) * up,   silu(g) = g s,   s = sigmoid(g)
///   dgate = dy up s (1 + g (1 - s)),   dup = dy silu(gate);   s is computed again
/// Source: Shazeer, "GLU Variants Improve Transformer", arXiv 2002.05202, eq. 5-6. Cost, R rows of F: forward
/// 3RF elements moved, 25RF flops; backward 5RF moved, 32RF flops.
namespace prospect::kernels {

template <class T>
struct SwigluForward {
  T* y;              ///< [rows, columns]
  const T* gate_up;  ///< [rows, 2 columns]: gate, then up
  int64_t rows, columns;
};

template <class T>
struct SwigluBackward {
  T* dgate_up;  ///< [rows, 2 columns]
  GradMode dgate_up_mode;
  const T* dy;       ///< [rows, columns]
  const T* gate_up;  ///< [rows, 2 columns]
  int64_t rows, columns;
};

namespace cpu {
template <class T>
void swiglu_forward(const SwigluForward<T>& args);
template <class T>
void swiglu_backward(const SwigluBackward<T>& args);
}  // namespace cpu

/// On device memory; float and bf16. Returns once the work is queued on `stream`.
namespace cuda {
template <class T>
void swiglu_forward(const SwigluForward<T>& args, Stream stream);
template <class T>
void swiglu_backward(const SwigluBackward<T>& args, Stream stream);
}  // namespace cuda

}  // namespace prospect::kernels
