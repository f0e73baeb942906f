#pragma once

#include <cmath>

#include "kernels/adamw/adamw.h"

/// What a step does to one element, on the CPU and on CUDA.
namespace prospect::kernels {

/// The step's scalars, made in double and rounded once.
template <class C>
struct AdamWScalars {
  C decay, first_weight, beta2, second_weight, step_size, correction, epsilon;
};

template <class T>
AdamWScalars<compute_t<T>> adamw_scalars(const AdamW<T>& args) {
  using C = compute_t<T>;
  const double step = static_cast<double>(args.step);
  return {.decay = static_cast<C>(1 - args.learning_rate * args.weight_decay),
          .first_weight = static_cast<C>(1 - args.beta1),
          .beta2 = static_cast<C>(args.beta2),
          .second_weight = static_cast<C>(1 - args.beta2),
          .step_size = static_cast<C>(args.learning_rate / (1 - std::pow(args.beta1, step))),
          .correction = static_cast<C>(std::sqrt(1 - std::pow(args.beta2, step))),
          .epsilon = static_cast<C>(args.epsilon)};
}

/// Updates the unrounded parameter p and its moments. The gradient g is clipped already.
template <class C>
constexpr void adamw_element(C& p, C& first_moment, C& second_moment, C g, const AdamWScalars<C>& by) {
  const C m = first_moment + by.first_weight * (g - first_moment);
  const C v = second_moment * by.beta2 + by.second_weight * g * g;
  const C denominator = std::sqrt(v) / by.correction + by.epsilon;
  p = p * by.decay - by.step_size * m / denominator;
  first_moment = m;
  second_moment = v;
}

}  // namespace prospect::kernels
