#include "kernels/gelu/gelu.h"

#include <numbers>

#include "kernels/common/fast_math.h"
#include "kernels/common/parallel.h"
#include "kernels/gelu/scaled_tail.h"

namespace prospect::kernels::cpu {

namespace {

/// A value and its derivative.
template <class C>
struct Term {
  C y, slope;
};

/// The normal distribution function at x, where gauss = exp(-x^2 / 2), which vanishes beyond 13.3.
inline float normal_distribution(float x, float gauss) {
  const float tail = gauss * scaled_tail(1 / (1 + kTailSlope * std::fabs(x)));
  return x < 0 ? tail : 1 - tail;
}
inline double normal_distribution(double x, double) {
  return std::erfc(-x * std::numbers::sqrt2 / 2) / 2;
}

template <class C>
inline Term<C> exact(C x) {
  constexpr C kDensity = static_cast<C>(0.39894228040143267794);  // 1 / sqrt(2 pi)
  const C gauss = fast_exp(C{-0.5} * x * x);
  const C distribution = normal_distribution(x, gauss);
  return {x * distribution, distribution + x * kDensity * gauss};
}

template <class C>
inline Term<C> tanh(C x) {
  constexpr C kScale = static_cast<C>(2 * 0.79788456080286535588);  // 2 sqrt(2 / pi)
  constexpr C kCubic = static_cast<C>(0.044715);
  const C square = x * x;
  const auto [s, rest] = fast_sigmoids(kScale * x * (1 + kCubic * square));
  return {x * s, s + x * s * rest * kScale * (1 + 3 * kCubic * square)};
}

/// One loop for each kind, so that neither branches.
template <class T, class Function>
void forward(const GeluForward<T>& args, const Function& function) {
  for_parts(args.count, [&](int64_t begin, int64_t count) {
    T* y = args.y + begin;
    const T* x = args.x + begin;
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) store(y[i], function(load(x[i])).y);
  });
}

template <class T, class Function>
void backward(const GeluBackward<T>& args, auto mode, const Function& function) {
  for_parts(args.count, [&](int64_t begin, int64_t count) {
    T* dx = args.dx + begin;
    const T* dy = args.dy + begin;
    const T* x = args.x + begin;
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) put(dx[i], load(dy[i]) * function(load(x[i])).slope, mode);
  });
}

}  // namespace

template <class T>
void gelu_forward(const GeluForward<T>& args) {
  using C = compute_t<T>;
  if (args.kind == GeluKind::Exact) {
    forward(args, [](C x) { return exact(x); });
  } else {
    forward(args, [](C x) { return tanh(x); });
  }
}

template <class T>
void gelu_backward(const GeluBackward<T>& args) {
  using C = compute_t<T>;
  if (args.dx_mode == GradMode::Ignore) return;
  if (args.kind == GeluKind::Exact) {
    with_mode(args.dx_mode, [&](auto mode) { backward(args, mode, [](C x) { return exact(x); }); });
  } else {
    with_mode(args.dx_mode, [&](auto mode) { backward(args, mode, [](C x) { return tanh(x); }); });
  }
}

template void gelu_forward(const GeluForward<float>&);
template void gelu_forward(const GeluForward<bf16>&);
template void gelu_forward(const GeluForward<double>&);
template void gelu_backward(const GeluBackward<float>&);
template void gelu_backward(const GeluBackward<bf16>&);
template void gelu_backward(const GeluBackward<double>&);

}  // namespace prospect::kernels::cpu
