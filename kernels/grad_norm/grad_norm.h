#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/common/bf16.h"
#include "kernels/common/stream.h"

/// The norm of a gradient, and by what to scale it.
///   norm = sqrt(sum of g^2),   clip_factor = min(1, max_norm / (norm + 1e-6))
/// Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", arXiv
/// 1211.5063, algorithm 1, with the 1e-6 of torch.nn.utils.clip_grad_norm_. Summed in double. Cost, N
/// elements: N moved, 2N flops.
namespace prospect::kernels {

template <class T>
struct GradNorm {
  double* norm;  ///< [1]
  /// [1]: becomes 0 if the sum is not finite (for f32 and bf16: if an element is not), else stays: what was
  /// found before in the same step counts too.
  int32_t* finite;
  double* clip_factor;  ///< [1]: as in the formula; 0 for an infinite norm, NaN for NaN
  double* scratch;      ///< grad_norm_scratch_bytes()
  const T* gradient;    ///< the arena; element `begin` is the first read
  int64_t begin, end;
  double max_norm;  ///< 0 or less: no clipping, the factor is 1
};

/// min(max_norm / (norm + 1e-6), 1), NaN for a NaN.
constexpr double clip_factor(double norm, double max_norm) {
  // The quotient comes first: std::min returns its first argument when one is NaN.
  return max_norm > 0 ? std::min(max_norm / (norm + 1e-6), 1.0) : 1.0;
}

namespace cpu {
/// Sums blocks of a fixed number of elements, then their sums in order: any number of threads gives the same
/// bits.
template <class T>
void grad_norm(const GradNorm<T>& args);
/// For a range of `count` elements.
int64_t grad_norm_scratch_bytes(int64_t count);
}  // namespace cpu

/// On device memory; float and bf16. Reads the gradient once. Sums are taken in an order that depends on the
/// range and on where its elements lie within vectors of 16 bytes alone. Returns once the work is queued on
/// `stream`.
namespace cuda {
template <class T>
void grad_norm(const GradNorm<T>& args, Stream stream);
/// On the current device.
int64_t grad_norm_scratch_bytes();
}  // namespace cuda

}  // namespace prospect::kernels
