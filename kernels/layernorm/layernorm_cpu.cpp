#include "kernels/layernorm/layernorm.h"

#include <cmath>

#include "kernels/common/parallel.h"
#include "kernels/common/threads.h"

namespace prospect::kernels::cpu {

template <class T>
void layernorm_forward(const LayerNormForward<T>& args) {
  using C = compute_t<T>;
  const int64_t columns = args.columns;
  parallel_for(args.rows, [&](int64_t row) {
    const T* x = args.x + row * columns;
    T* y = args.y + row * columns;
    C sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < columns; ++c) sum += load(x[c]);
    const C mean = sum / static_cast<C>(columns);
    C squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t c = 0; c < columns; ++c) squares += (load(x[c]) - mean) * (load(x[c]) - mean);
    const C rstd = 1 / std::sqrt(squares / static_cast<C>(columns) + static_cast<C>(args.epsilon));
#pragma omp simd
    for (int64_t c = 0; c < columns; ++c) {
      store(y[c], (load(x[c]) - mean) * rstd * load(args.weight[c]) + load(args.bias[c]));
    }
    args.mean[row] = mean;
    args.rstd[row] = rstd;
  });
}

namespace {

/// dx of one row: with x^ = (x - mean) * rstd and g = dy * weight,
///   dx = rstd * (g - mean(g) - x^ * mean(g * x^))
template <class T>
void input_gradient(const LayerNormBackward<T>& args, int64_t row) {
  using C = compute_t<T>;
  const int64_t columns = args.columns;
  const T* x = args.x + row * columns;
  const T* dy = args.dy + row * columns;
  T* dx = args.dx + row * columns;
  const C mean = args.mean[row], rstd = args.rstd[row];
  C sum_g = 0, sum_gx = 0;
#pragma omp simd reduction(+ : sum_g, sum_gx)
  for (int64_t c = 0; c < columns; ++c) {
    const C g = load(dy[c]) * load(args.weight[c]);
    sum_g += g;
    sum_gx += g * (load(x[c]) - mean) * rstd;
  }
  const C mean_g = sum_g / static_cast<C>(columns), mean_gx = sum_gx / static_cast<C>(columns);
  for (int64_t c = 0; c < columns; ++c) {
    const C normalised = (load(x[c]) - mean) * rstd;
    put(dx[c], rstd * (load(dy[c]) * load(args.weight[c]) - mean_g - normalised * mean_gx), args.dx_mode);
  }
}

/// Adds the weight and bias gradients of rows [begin, end) to dweight and dbias ([columns] each).
template <class T>
void parameter_gradients(const LayerNormBackward<T>& args, Block rows, compute_t<T>* dweight,
                         compute_t<T>* dbias) {
  using C = compute_t<T>;
  const int64_t columns = args.columns;
  std::fill(dweight, dweight + columns, C{0});
  std::fill(dbias, dbias + columns, C{0});
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const T* x = args.x + row * columns;
    const T* dy = args.dy + row * columns;
    const C mean = args.mean[row], rstd = args.rstd[row];
#pragma omp simd
    for (int64_t c = 0; c < columns; ++c) {
      dweight[c] += load(dy[c]) * (load(x[c]) - mean) * rstd;
      dbias[c] += load(dy[c]);
    }
  }
}

}  // namespace

template <class T>
void layernorm_backward(const LayerNormBackward<T>& args) {
  using C = compute_t<T>;
  if (args.dx_mode != GradMode::Ignore) {
    parallel_for(args.rows, [&](int64_t row) { input_gradient(args, row); });
  }
  if (args.dweight_mode == GradMode::Ignore && args.dbias_mode == GradMode::Ignore) return;
  const int64_t columns = args.columns, blocks = thread_count();
  parallel_for(blocks, [&](int64_t block) {
    C* dweight = args.scratch + block * 2 * columns;
    parameter_gradients(args, block_of(args.rows, block, blocks), dweight, dweight + columns);
  });
  for (int64_t c = 0; c < columns; ++c) {
    C dweight = 0, dbias = 0;
    for (int64_t block = 0; block < blocks; ++block) {
      dweight += args.scratch[block * 2 * columns + c];
      dbias += args.scratch[block * 2 * columns + columns + c];
    }
    if (args.dweight_mode != GradMode::Ignore) put(args.dweight[c], dweight, args.dweight_mode);
    if (args.dbias_mode != GradMode::Ignore) put(args.dbias[c], dbias, args.dbias_mode);
  }
}

template <class T>
int64_t layernorm_backward_scratch_bytes(int64_t columns) {
  return 2 * thread_count() * columns * static_cast<int64_t>(sizeof(compute_t<T>));
}

template void layernorm_forward(const LayerNormForward<float>&);
template void layernorm_forward(const LayerNormForward<bf16>&);
template void layernorm_forward(const LayerNormForward<double>&);
template void layernorm_backward(const LayerNormBackward<float>&);
template void layernorm_backward(const LayerNormBackward<bf16>&);
template void layernorm_backward(const LayerNormBackward<double>&);
template int64_t layernorm_backward_scratch_bytes<float>(int64_t);
template int64_t layernorm_backward_scratch_bytes<bf16>(int64_t);
template int64_t layernorm_backward_scratch_bytes<double>(int64_t);

}  // namespace prospect::kernels::cpu
