#include "kernels/adamw/adamw.h"

#include <cmath>
#include <type_traits>

#include "kernels/common/check.h"
#include "kernels/common/parallel.h"

namespace prospect::kernels::cpu {

namespace {

/// The step's scalars, made in double and rounded once.
template <class C>
struct Scalars {
  C clip, decay, first_weight, beta2, second_weight, step_size, correction, epsilon;
};

template <class T>
Scalars<compute_t<T>> scalars_of(const AdamW<T>& args) {
  using C = compute_t<T>;
  const double step = static_cast<double>(args.step);
  return {.clip = static_cast<C>(args.clip_factor ? *args.clip_factor : 1),
          .decay = static_cast<C>(1 - args.learning_rate * args.weight_decay),
          .first_weight = static_cast<C>(1 - args.beta1),
          .beta2 = static_cast<C>(args.beta2),
          .second_weight = static_cast<C>(1 - args.beta2),
          .step_size = static_cast<C>(args.learning_rate / (1 - std::pow(args.beta1, step))),
          .correction = static_cast<C>(std::sqrt(1 - std::pow(args.beta2, step))),
          .epsilon = static_cast<C>(args.epsilon)};
}

template <class T>
void update(const AdamW<T>& args, const Scalars<compute_t<T>>& by, int64_t begin, int64_t count) {
  using C = compute_t<T>;
  constexpr bool kRounds = !std::is_same_v<T, C>;
  T* parameter = args.parameter + begin;
  C* master = kRounds ? args.master + begin : nullptr;
  C* first_moment = args.first_moment + begin;
  C* second_moment = args.second_moment + begin;
  const T* gradient = args.gradient + begin;
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const C g = load(gradient[i]) * by.clip;
    const C m = first_moment[i] + by.first_weight * (g - first_moment[i]);
    const C v = second_moment[i] * by.beta2 + by.second_weight * g * g;
    const C denominator = std::sqrt(v) / by.correction + by.epsilon;
    C p;
    if constexpr (kRounds) {
      p = master[i] = master[i] * by.decay - by.step_size * m / denominator;
    } else {
      p = parameter[i] * by.decay - by.step_size * m / denominator;
    }
    first_moment[i] = m;
    second_moment[i] = v;
    parameter[i] = static_cast<T>(p);
  }
}

}  // namespace

template <class T>
void adamw(const AdamW<T>& args) {
  constexpr bool kRounds = !std::is_same_v<T, compute_t<T>>;
  CHECK((args.master != nullptr) == kRounds,
        "adamw: master weights are for rounded parameters, and only these");
  CHECK(args.step >= 1 && args.epsilon > 0, "adamw: step and epsilon must be positive, got {} and {}",
        args.step, args.epsilon);
  if (args.finite && *args.finite == 0) return;
  const Scalars<compute_t<T>> by = scalars_of(args);
  for_parts(args.end - args.begin,
            [&](int64_t begin, int64_t count) { update(args, by, args.begin + begin, count); });
}

template void adamw(const AdamW<float>&);
template void adamw(const AdamW<bf16>&);
template void adamw(const AdamW<double>&);

}  // namespace prospect::kernels::cpu
