#include "kernels/log_softmax_gather/log_softmax_gather.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/common/check.h"
#include "kernels/common/fast_math.h"
#include "kernels/common/parallel.h"

namespace prospect::kernels::cpu {

namespace {

// Sums are taken in blocks in the compute type and added up in double: a vocabulary is long enough for plain
// float sums to lose digits.
constexpr int64_t kBlock = 2048;

/// exp(x - max) vanishes in either type below this; clamping keeps 0 * -inf out of the entropy.
constexpr int kVanished = -1000;

struct RowSums {
  double exponentials = 0;  ///< sum of e = exp(x - max)
  double weighted = 0;      ///< sum of e * (x - max)
};

template <class C>
C maximum(const C* x, int64_t columns) {
  C largest = -std::numeric_limits<C>::infinity();
#pragma omp simd reduction(max : largest)
  for (int64_t c = 0; c < columns; ++c) largest = x[c] > largest ? x[c] : largest;
  return largest;
}

template <class C>
double total(const C* x, int64_t columns) {
  double sum = 0;
  for (int64_t begin = 0; begin < columns; begin += kBlock) {
    const int64_t end = std::min(columns, begin + kBlock);
    C part = 0;
#pragma omp simd reduction(+ : part)
    for (int64_t c = begin; c < end; ++c) part += x[c];
    sum += part;
  }
  return sum;
}

template <class C>
RowSums softmax_sums(const C* x, C largest, int64_t columns) {
  RowSums sums;
  for (int64_t begin = 0; begin < columns; begin += kBlock) {
    const int64_t end = std::min(columns, begin + kBlock);
    C exponentials = 0, weighted = 0;
#pragma omp simd reduction(+ : exponentials, weighted)
    for (int64_t c = begin; c < end; ++c) {
      const C below = x[c] - largest;
      const C shifted = below < C{kVanished} ? C{kVanished} : below;  // a NaN stays one
      const C e = fast_exp(shifted);
      exponentials += e;
      weighted += e * shifted;
    }
    sums.exponentials += exponentials;
    sums.weighted += weighted;
  }
  return sums;
}

}  // namespace

template <class C>
void log_softmax_gather_forward(const LogSoftmaxGatherForward<C>& args) {
  const int64_t columns = args.columns;
  for (int64_t row = 0; row < args.rows; ++row) {
    CHECK(args.targets[row] >= 0 && args.targets[row] < columns,
          "log_softmax_gather: target {} of row {} is not in [0, {})", args.targets[row], row, columns);
  }
  parallel_for(args.rows, [&](int64_t row) {
    const C* x = args.logits + row * args.stride;
    const C largest = maximum(x, columns);
    const double sum = total(x, columns);
    const RowSums sums = softmax_sums(x, largest, columns);
    const double log_sum = std::log(sums.exponentials);
    args.log_probabilities[row] =
        static_cast<C>(static_cast<double>(x[args.targets[row]]) - static_cast<double>(largest) - log_sum);
    args.log_sum_exp[row] = static_cast<C>(largest + log_sum);
    args.entropies[row] = static_cast<C>(log_sum - sums.weighted / sums.exponentials);
    args.logit_means[row] = static_cast<C>(sum / static_cast<double>(columns));
  });
}

template <class T>
void log_softmax_gather_backward(const LogSoftmaxGatherBackward<T>& args) {
  using C = compute_t<T>;
  const int64_t columns = args.columns;
  parallel_for(args.rows, [&](int64_t row) {
    const C* x = args.logits + row * args.stride;
    T* gradient = args.gradient + row * args.stride;
    const C log_sum_exp = args.log_sum_exp[row], slope = args.row_slopes[row];
    // expm1 keeps the digits of 1 - p where the target is almost certain.
    const C at_target = -slope * std::expm1(x[args.targets[row]] - log_sum_exp);
#pragma omp simd
    for (int64_t c = 0; c < columns; ++c) store(gradient[c], -slope * fast_exp(x[c] - log_sum_exp));
    store(gradient[args.targets[row]], at_target);
  });
}

template void log_softmax_gather_forward(const LogSoftmaxGatherForward<float>&);
template void log_softmax_gather_forward(const LogSoftmaxGatherForward<double>&);
template void log_softmax_gather_backward(const LogSoftmaxGatherBackward<float>&);
template void log_softmax_gather_backward(const LogSoftmaxGatherBackward<bf16>&);
template void log_softmax_gather_backward(const LogSoftmaxGatherBackward<double>&);

}  // namespace prospect::kernels::cpu
