#pragma once

#include <cmath>

#include "kernels/common/grad_mode.h"

/// One row of rmsnorm.h on the CPU, for every operation that normalises rows of `columns` values.
namespace prospect::kernels::cpu {

/// y = x * rstd * weight; returns rstd = 1 / sqrt(mean(x^2) + epsilon).
template <class T>
inline compute_t<T> rmsnorm_row(T* y, const T* x, const T* weight, int64_t columns, double epsilon) {
  using C = compute_t<T>;
  C squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t c = 0; c < columns; ++c) squares += load(x[c]) * load(x[c]);
  const C rstd = 1 / std::sqrt(squares / static_cast<C>(columns) + static_cast<C>(epsilon));
#pragma omp simd
  for (int64_t c = 0; c < columns; ++c) store(y[c], load(x[c]) * rstd * load(weight[c]));
  return rstd;
}

/// With x^ = x * rstd and g = dy * weight: dx = rstd * (g - x^ * mean(g * x^)). Requires: mode is not Ignore.
template <class T>
inline void rmsnorm_row_input_gradient(T* dx, GradMode dx_mode, const T* dy, const T* x, const T* weight,
                                       compute_t<T> rstd, int64_t columns) {
  using C = compute_t<T>;
  C sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < columns; ++c) sum += load(dy[c]) * load(weight[c]) * load(x[c]);
  const C slope = rstd * rstd * sum / static_cast<C>(columns);
  with_mode(dx_mode, [&](auto mode) {
#pragma omp simd
    for (int64_t c = 0; c < columns; ++c) {
      put(dx[c], rstd * (load(dy[c]) * load(weight[c]) - load(x[c]) * slope), mode);
    }
  });
}

/// Adds the weight gradient of one row to dweight ([columns]).
template <class T>
inline void rmsnorm_row_weight_gradient(compute_t<T>* dweight, const T* dy, const T* x, compute_t<T> rstd,
                                        int64_t columns) {
#pragma omp simd
  for (int64_t c = 0; c < columns; ++c) dweight[c] += load(dy[c]) * load(x[c]) * rstd;
}

}  // namespace prospect::kernels::cpu
