#include "kernels/rmsnorm/rmsnorm.h"

#include <algorithm>
#include <cmath>

#include "kernels/common/parallel.h"
#include "kernels/common/threads.h"

namespace prospect::kernels::cpu {

template <class T>
void rmsnorm_forward(const RmsNormForward<T>& args) {
  using C = compute_t<T>;
  const int64_t columns = args.columns;
  parallel_for(args.rows, [&](int64_t row) {
    const T* x = args.x + row * columns;
    T* y = args.y + row * columns;
    C squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t c = 0; c < columns; ++c) squares += load(x[c]) * load(x[c]);
    const C rstd = 1 / std::sqrt(squares / static_cast<C>(columns) + static_cast<C>(args.epsilon));
#pragma omp simd
    for (int64_t c = 0; c < columns; ++c) y[c] = static_cast<T>(load(x[c]) * rstd * load(args.weight[c]));
    args.rstd[row] = rstd;
  });
}

namespace {

/// dx of one row: with x^ = x * rstd and g = dy * weight,
///   dx = rstd * (g - x^ * mean(g * x^))
template <class T>
void input_gradient(const RmsNormBackward<T>& args, int64_t row) {
  using C = compute_t<T>;
  const int64_t columns = args.columns;
  const T* x = args.x + row * columns;
  const T* dy = args.dy + row * columns;
  T* dx = args.dx + row * columns;
  const C rstd = args.rstd[row];
  C sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < columns; ++c) sum += load(dy[c]) * load(args.weight[c]) * load(x[c]);
  const C slope = rstd * rstd * sum / static_cast<C>(columns);
  with_mode(args.dx_mode, [&](auto mode) {
#pragma omp simd
    for (int64_t c = 0; c < columns; ++c) {
      put(dx[c], rstd * (load(dy[c]) * load(args.weight[c]) - load(x[c]) * slope), mode);
    }
  });
}

/// Adds the weight gradient of one row to dweight ([columns]).
template <class T>
void weight_gradient(const RmsNormBackward<T>& args, int64_t row, compute_t<T>* dweight) {
  const T* x = args.x + row * args.columns;
  const T* dy = args.dy + row * args.columns;
  const compute_t<T> rstd = args.rstd[row];
#pragma omp simd
  for (int64_t c = 0; c < args.columns; ++c) dweight[c] += load(dy[c]) * load(x[c]) * rstd;
}

}  // namespace

template <class T>
void rmsnorm_backward(const RmsNormBackward<T>& args) {
  using C = compute_t<T>;
  const int64_t columns = args.columns, blocks = thread_count();
  const bool input = args.dx_mode != GradMode::Ignore, weight = args.dweight_mode != GradMode::Ignore;
  parallel_for(blocks, [&](int64_t block) {
    C* dweight = args.scratch + block * columns;
    const Block rows = block_of(args.rows, block, blocks);
    if (weight) std::fill(dweight, dweight + columns, C{0});
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      if (input) input_gradient(args, row);
      if (weight) weight_gradient(args, row, dweight);
    }
  });
  for (int64_t c = 0; weight && c < columns; ++c) {
    C sum = 0;
    for (int64_t block = 0; block < blocks; ++block) sum += args.scratch[block * columns + c];
    put(args.dweight[c], sum, args.dweight_mode);
  }
}

template <class T>
int64_t rmsnorm_backward_scratch_bytes(int64_t columns) {
  return thread_count() * columns * static_cast<int64_t>(sizeof(compute_t<T>));
}

template void rmsnorm_forward(const RmsNormForward<float>&);
template void rmsnorm_forward(const RmsNormForward<bf16>&);
template void rmsnorm_forward(const RmsNormForward<double>&);
template void rmsnorm_backward(const RmsNormBackward<float>&);
template void rmsnorm_backward(const RmsNormBackward<bf16>&);
template void rmsnorm_backward(const RmsNormBackward<double>&);
template int64_t rmsnorm_backward_scratch_bytes<float>(int64_t);
template int64_t rmsnorm_backward_scratch_bytes<bf16>(int64_t);
template int64_t rmsnorm_backward_scratch_bytes<double>(int64_t);

}  // namespace prospect::kernels::cpu
