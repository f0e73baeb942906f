#pragma once

#include <cstdint>

#include "kernels/common/bf16.h"

/// The norm of a gradient, and by what to scale it.
///   norm = sqrt(sum of g^2),   clip_factor = min(1, max_norm / (norm + 1e-6))
/// Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", arXiv
/// 1211.5063, algorithm 1, with the 1e-6 of torch.nn.utils.clip_grad_norm_. Summed in double. Cost, N
/// elements: N moved, 2N flops.
namespace prospect::kernels {

template <class T>
struct GradNorm {
  double* norm;         ///< [1]
  int32_t* finite;      ///< [1]: 1 if the sum is finite; for f32 and bf16 that is, if every element is
  double* clip_factor;  ///< [1]: as in the formula; 0 for an infinite norm, NaN for NaN
  double* scratch;      ///< grad_norm_scratch_bytes()
  const T* gradient;    ///< the arena; element `begin` is the first read
  int64_t begin, end;
  double max_norm;  ///< 0 or less: no clipping, the factor is 1
};

namespace cpu {
/// Sums blocks of a fixed number of elements, then their sums in order: any number of threads gives the same
/// bits.
template <class T>
void grad_norm(const GradNorm<T>& args);
/// For a range of `count` elements.
int64_t grad_norm_scratch_bytes(int64_t count);
}  // namespace cpu

}  // namespace prospect::kernels
