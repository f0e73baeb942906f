#pragma once

#include <cstdint>

#include "kernels/common/grad_mode.h"
#include "kernels/common/stream.h"

/// The residual connection.
///   y = x + branch,   dx = dy,   dbranch = dy
/// Cost, n elements: forward 3n elements moved, n flops; backward n read and up to 2n written (4n moved where
/// both accumulate). Memory-bound.
namespace prospect::kernels {

template <class T>
struct ResidualAddForward {
  T* y;             ///< [count]
  const T* x;       ///< [count]
  const T* branch;  ///< [count]
  int64_t count;
};

template <class T>
struct ResidualAddBackward {
  T* dx;  ///< [count]
  GradMode dx_mode;
  T* dbranch;  ///< [count]
  GradMode dbranch_mode;
  const T* dy;  ///< [count]
  int64_t count;
};

namespace cpu {
template <class T>
void residual_add_forward(const ResidualAddForward<T>& args);
template <class T>
void residual_add_backward(const ResidualAddBackward<T>& args);
}  // namespace cpu

/// On device memory; float and bf16. Returns once the work is queued on `stream`.
namespace cuda {
template <class T>
void residual_add_forward(const ResidualAddForward<T>& args, Stream stream);
template <class T>
void residual_add_backward(const ResidualAddBackward<T>& args, Stream stream);
}  // namespace cuda

}  // namespace prospect::kernels
