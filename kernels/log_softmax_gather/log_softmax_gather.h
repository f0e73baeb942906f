#pragma once

#include <cstdint>

#include "kernels/common/bf16.h"
#include "kernels/common/stream.h"

/// Statistics of the softmax of each row of logits, without its probabilities, and the gradient that goes
/// back to the logits.
///   m = max(x),  lse = m + log(sum(exp(x - m))),  log p_target = x_target - lse
///   entropy = lse - sum(p * x),                   d(log p_target)/dx_c = [c == target] - exp(x_c - lse)
/// Logits are held in the compute type C, never rounded to bf16. Logits of -inf count as probability 0; NaN
/// and +inf come out as NaN.
/// Cost, R rows of V: forward R V elements read (the second look at a row finds it in cache), R V
/// exponentials and 6 R V flops; backward R V read and written, R V exponentials and 2 R V flops.
namespace prospect::kernels {

template <class C>
struct LogSoftmaxGatherForward {
  C* log_probabilities;    ///< [rows], of the targets
  C* log_sum_exp;          ///< [rows], kept for backward
  C* entropies;            ///< [rows]
  C* logit_means;          ///< [rows]
  const C* logits;         ///< [rows, columns]
  const int32_t* targets;  ///< [rows], in [0, columns)
  int64_t rows, columns;
  int64_t stride;  ///< elements from one row of logits to the next
};

/// gradient = row_slopes * (onehot(target) - softmax(logits)), rounded once to T, the operand type of the
/// products that follow.
template <class T>
struct LogSoftmaxGatherBackward {
  T* gradient;                      ///< [rows, columns]; may be the logits themselves where T is their type
  const compute_t<T>* logits;       ///< [rows, columns]
  const compute_t<T>* log_sum_exp;  ///< [rows]
  const compute_t<T>* row_slopes;   ///< [rows]: d(loss)/d(log p_target)
  const int32_t* targets;           ///< [rows]
  int64_t rows, columns;
  int64_t stride;  ///< elements from one row to the next, of logits and of gradients
};

namespace cpu {
/// Requires: every target is a column (checked).
template <class C>
void log_softmax_gather_forward(const LogSoftmaxGatherForward<C>& args);
template <class T>
void log_softmax_gather_backward(const LogSoftmaxGatherBackward<T>& args);
}  // namespace cpu

/// On device memory; logits in float, gradients in float or bf16; rows of any length and alignment. Forward
/// reads the logits once; backward reads them once and writes the gradient once. Sums are taken in an order
/// that depends on the shape and on where rows lie within 64 bytes alone. A target that is no column gives a
/// log-probability of NaN. Returns once the work is queued on `stream`.
namespace cuda {
void log_softmax_gather_forward(const LogSoftmaxGatherForward<float>& args, Stream stream);
template <class T>
void log_softmax_gather_backward(const LogSoftmaxGatherBackward<T>& args, Stream stream);
}  // namespace cuda

}  // namespace prospect::kernels
