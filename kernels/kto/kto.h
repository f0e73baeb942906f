#pragma once

#include <cstdint>

#include "kernels/common/stream.h"
#include "kernels/kto/objective.h"

/// The objective on whole sequences: from log-probabilities per token to values and slopes per sequence.
///   r_s = sum over the rows of s of (policy - reference),   value_s, slope_s = objective_term(r_s, label_s,
///   z0)
/// The difference is taken per token in the compute type C, where both are close, and summed in double from
/// the first row to the last: the result does not depend on how sequences are split among calls or threads.
/// Source: Ethayarajh et al., "KTO", arXiv 2402.01306, eq. 7-8; see objective.h for the other objectives.
/// Cost, R rows in S sequences: 4 R elements read, 4 R flops, S pairs of exponentials.
namespace prospect::kernels {

template <class C>
struct KtoForward {
  double* log_ratios;          ///< [sequences]: r
  double* values;              ///< [sequences]
  double* slopes;              ///< [sequences]: d(value)/dr at fixed z0, or what was given
  double* entropy_sums;        ///< [sequences]; null: not wanted
  double* logit_sums;          ///< [sequences]; null: not wanted
  const C* log_probabilities;  ///< [rows]
  const C* reference;          ///< [rows]; null: zeros
  const C* entropies;          ///< [rows]; null where entropy_sums is
  const C* logit_means;        ///< [rows]; null where logit_sums is
  const int32_t* offsets;      ///< [sequences + 1]: the rows of s are [offsets[s], offsets[s + 1])
  const int32_t* labels;       ///< [sequences]: 1 desirable, 0 undesirable; null: all desirable
  const double* z0;            ///< [sequences]: carries no gradient; null: zeros
  const double* given_slopes;  ///< [sequences]; null: the objective's own
  Objective objective;
  int64_t sequences;
  /// [1]: becomes 0 if a value or a slope is not finite, else stays; AdamW reads it. Null: not wanted.
  int32_t* finite = nullptr;
};

/// row_slopes[t] = shares[s] * slopes[s] for the rows t of each sequence s.
template <class C>
struct KtoBackward {
  C* row_slopes;           ///< [rows]
  const double* slopes;    ///< [sequences]
  const double* shares;    ///< [sequences]: the factor of each in the loss; null: ones
  const int32_t* offsets;  ///< [sequences + 1]
  int64_t sequences;
};

namespace cpu {
template <class C>
void kto_forward(const KtoForward<C>& args);
template <class C>
void kto_backward(const KtoBackward<C>& args);
}  // namespace cpu

/// On device memory; rows in float. A sequence's rows are summed in an order that depends on their number
/// alone. Returns once the work is queued on `stream`.
namespace cuda {
void kto_forward(const KtoForward<float>& args, Stream stream);
void kto_backward(const KtoBackward<float>& args, Stream stream);
}  // namespace cuda

}  // namespace prospect::kernels
