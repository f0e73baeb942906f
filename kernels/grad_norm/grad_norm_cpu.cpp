#include "kernels/grad_norm/grad_norm.h"

#include <cmath>

#include "kernels/common/parallel.h"

namespace prospect::kernels::cpu {

namespace {

/// Four streams, so that additions need not wait for each other.
template <class T>
double sum_of_squares(const T* x, int64_t count) {
  const int64_t quarter = count / 4;
  const auto square = [x](int64_t i) {
    const double value = static_cast<double>(load(x[i]));
    return value * value;
  };
  double sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
#pragma omp simd reduction(+ : sum0, sum1, sum2, sum3)
  for (int64_t i = 0; i < quarter; ++i) {
    sum0 += square(i);
    sum1 += square(i + quarter);
    sum2 += square(i + 2 * quarter);
    sum3 += square(i + 3 * quarter);
  }
  for (int64_t i = 4 * quarter; i < count; ++i) sum0 += square(i);
  return (sum0 + sum1) + (sum2 + sum3);
}

}  // namespace

template <class T>
void grad_norm(const GradNorm<T>& args) {
  const int64_t count = args.end - args.begin;
  for_parts(count, [&](int64_t begin, int64_t part) {
    args.scratch[begin / kPartElements] = sum_of_squares(args.gradient + args.begin + begin, part);
  });
  double sum = 0;
  for (int64_t begin = 0; begin < count; begin += kPartElements) sum += args.scratch[begin / kPartElements];
  *args.norm = std::sqrt(sum);
  if (!std::isfinite(sum)) *args.finite = 0;
  *args.clip_factor = clip_factor(*args.norm, args.max_norm);
}

int64_t grad_norm_scratch_bytes(int64_t count) {
  return (count + kPartElements - 1) / kPartElements * static_cast<int64_t>(sizeof(double));
}

template void grad_norm(const GradNorm<float>&);
template void grad_norm(const GradNorm<bf16>&);
template void grad_norm(const GradNorm<double>&);

}  // namespace prospect::kernels::cpu
