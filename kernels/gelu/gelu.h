#pragma once

#include <cstdint>

#include "kernels/common/grad_mode.h"
#include "kernels/common/stream.h"

/// The Gaussian error linear unit, element by element.
///   Exact: y = x Phi(x), Phi the standard normal distribution function
///   Tanh:  y = x (1 + tanh(u)) / 2 = x sigmoid(2u),   u = sqrt(2 / pi) (x + 0.044715 x^3)
/// Source: Hendrycks, Gimpel, "Gaussian Error Linear Units", arXiv 1606.08415, section 2. Tanh is what
/// configurations call gelu_new. Cost, N elements: forward 2N moved, about 30 N flops; backward 3N moved,
/// about 40 N flops.
namespace prospect {

enum class GeluKind { Exact, Tanh };

}  // namespace prospect

namespace prospect::kernels {

template <class T>
struct GeluForward {
  T* y;        ///< [count]
  const T* x;  ///< [count]
  int64_t count;
  GeluKind kind;
};

template <class T>
struct GeluBackward {
  T* dx;  ///< [count]
  GradMode dx_mode;
  const T* dy;  ///< [count]
  const T* x;   ///< [count]
  int64_t count;
  GeluKind kind;
};

namespace cpu {
template <class T>
void gelu_forward(const GeluForward<T>& args);
template <class T>
void gelu_backward(const GeluBackward<T>& args);
}  // namespace cpu

/// On device memory; float and bf16. Returns once the work is queued on `stream`.
namespace cuda {
template <class T>
void gelu_forward(const GeluForward<T>& args, Stream stream);
template <class T>
void gelu_backward(const GeluBackward<T>& args, Stream stream);
}  // namespace cuda

}  // namespace prospect::kernels
