#pragma once

#include <cmath>

#include "kernels/common/reduce.cuh"
#include "kernels/kto/kto.h"

/// What a warp does with a sequence.
namespace prospect::kernels::cuda {

/// Calls body(row) for the rows of sequence s that are this lane's: every 32nd. A warp begins at a multiple
/// of 32, wherever the sequence does, so that its accesses share no sector with each other; and all lanes go
/// round as often, so that they stay together.
template <class Body>
__device__ inline void for_rows_of_lane(const int32_t* offsets, int64_t s, const Body& body) {
  const int begin = offsets[s], end = offsets[s + 1], lane = threadIdx.x % kWarp;
  const int first = begin / kWarp * kWarp;
  if (first + lane >= begin && first + lane < end) body(first + lane);
  for (int row = first + kWarp; row < end; row += kWarp) {
    if (row + lane < end) body(row + lane);
  }
}

/// Adds the rows of sequence s in double, lane by lane and then the lanes; the first lane makes value and
/// slope of the sums. Their bits do not depend on where the sequence begins: that turns the lanes, and
/// warp_sum adds those that lie 16 apart round the warp, then 8 apart, and so on.
__device__ inline void kto_forward_of(const KtoForward<float>& args, int64_t s) {
  double log_ratio = 0, entropy = 0, logit = 0;
  for_rows_of_lane(args.offsets, s, [&](int row) {
    const float log_probability = args.log_probabilities[row];
    log_ratio += args.reference ? log_probability - args.reference[row] : log_probability;
    if (args.entropy_sums) entropy += args.entropies[row];
    if (args.logit_sums) logit += args.logit_means[row];
  });
  log_ratio = warp_sum(log_ratio), entropy = warp_sum(entropy), logit = warp_sum(logit);
  if (threadIdx.x % kWarp != 0) return;

  const bool desirable = args.labels == nullptr || args.labels[s] != 0;
  const ObjectiveTerm term = objective_term(args.objective, log_ratio, desirable, args.z0 ? args.z0[s] : 0);
  const double slope = args.given_slopes ? args.given_slopes[s] : term.slope;
  args.log_ratios[s] = log_ratio;
  args.values[s] = term.value;
  args.slopes[s] = slope;
  if (args.entropy_sums) args.entropy_sums[s] = entropy;
  if (args.logit_sums) args.logit_sums[s] = logit;
  if (args.finite && !(isfinite(term.value) && isfinite(slope))) atomicAnd(args.finite, 0);
}

/// Writes the slope of sequence s to its rows.
__device__ inline void kto_backward_of(const KtoBackward<float>& args, int64_t s) {
  const auto slope = static_cast<float>((args.shares ? args.shares[s] : 1) * args.slopes[s]);
  for_rows_of_lane(args.offsets, s, [&](int row) { args.row_slopes[row] = slope; });
}

}  // namespace prospect::kernels::cuda
