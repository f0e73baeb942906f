#include "kernels/kto/kto.h"

#include <algorithm>
#include <cmath>

#include "kernels/common/parallel.h"

namespace prospect::kernels::cpu {

namespace {

template <class C>
double sum_rows(const C* values, int64_t begin, int64_t end) {
  double sum = 0;
  for (int64_t row = begin; row < end; ++row) sum += static_cast<double>(values[row]);
  return sum;
}

template <class C>
double log_ratio(const KtoForward<C>& args, int64_t begin, int64_t end) {
  if (args.reference == nullptr) return sum_rows(args.log_probabilities, begin, end);
  double sum = 0;
  for (int64_t row = begin; row < end; ++row) {
    const C difference = args.log_probabilities[row] - args.reference[row];
    sum += static_cast<double>(difference);
  }
  return sum;
}

}  // namespace

template <class C>
void kto_forward(const KtoForward<C>& args) {
  parallel_for(args.sequences, [&](int64_t s) {
    const bool desirable = args.labels == nullptr || args.labels[s] != 0;
    const int64_t begin = args.offsets[s], end = args.offsets[s + 1];
    const double ratio = log_ratio(args, begin, end);
    const ObjectiveTerm term = objective_term(args.objective, ratio, desirable, args.z0 ? args.z0[s] : 0);
    args.log_ratios[s] = ratio;
    args.values[s] = term.value;
    args.slopes[s] = args.given_slopes ? args.given_slopes[s] : term.slope;
    if (args.entropy_sums) args.entropy_sums[s] = sum_rows(args.entropies, begin, end);
    if (args.logit_sums) args.logit_sums[s] = sum_rows(args.logit_means, begin, end);
  });
  for (int64_t s = 0; args.finite && s < args.sequences; ++s) {
    if (!std::isfinite(args.values[s]) || !std::isfinite(args.slopes[s])) *args.finite = 0;
  }
}

template <class C>
void kto_backward(const KtoBackward<C>& args) {
  parallel_for(args.sequences, [&](int64_t s) {
    const C slope = static_cast<C>((args.shares ? args.shares[s] : 1) * args.slopes[s]);
    std::fill(args.row_slopes + args.offsets[s], args.row_slopes + args.offsets[s + 1], slope);
  });
}

template void kto_forward(const KtoForward<float>&);
template void kto_forward(const KtoForward<double>&);
template void kto_backward(const KtoBackward<float>&);
template void kto_backward(const KtoBackward<double>&);

}  // namespace prospect::kernels::cpu
