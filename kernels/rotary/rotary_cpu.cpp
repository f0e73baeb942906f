#include "kernels/rotary/rotary.h"

#include "kernels/common/fast_math.h"
#include "kernels/common/parallel.h"

namespace prospect::kernels::cpu {

namespace {

/// Cosines and sines of one token's angles; direction 1 or -1 is the sense of rotation.
template <class C>
void fill_table(C* cosines, C* sines, const double* inverse_frequencies, int64_t half, double position,
                C direction) {
#pragma omp simd
  for (int64_t i = 0; i < half; ++i) {
    const auto [sine, cosine] = fast_sine_cosine<C>(position * inverse_frequencies[i]);
    cosines[i] = cosine;
    sines[i] = direction * sine;
  }
}

template <class T>
void rotate_head(T* y, const T* x, const compute_t<T>* cosines, const compute_t<T>* sines, int64_t half,
                 auto mode) {
#pragma omp simd
  for (int64_t i = 0; i < half; ++i) {
    const compute_t<T> first = load(x[i]), second = load(x[i + half]);
    put(y[i], first * cosines[i] - second * sines[i], mode);
    put(y[i + half], second * cosines[i] + first * sines[i], mode);
  }
}

/// One pass over the rows: a row's table is still in the cache when its heads are rotated.
template <class T>
void rotate(T* y, const T* x, const RotaryRows<T>& rows, compute_t<T> direction, auto mode) {
  const int64_t half = rows.head_dim / 2, rotated = rows.heads + rows.kv_heads;
  const int64_t columns = (rotated + rows.kv_heads) * rows.head_dim;
  parallel_for(rows.tokens, [&](int64_t token) {
    compute_t<T>* cosines = rows.scratch + token * rows.head_dim;
    compute_t<T>* sines = cosines + half;
    fill_table(cosines, sines, rows.inverse_frequencies, half, static_cast<double>(rows.positions[token]),
               direction);
    const T* from = x + token * columns;
    T* to = y + token * columns;
    for (int64_t head = 0; head < rotated; ++head) {
      rotate_head(to + head * rows.head_dim, from + head * rows.head_dim, cosines, sines, half, mode);
    }
#pragma omp simd
    for (int64_t c = rotated * rows.head_dim; c < columns; ++c) put(to[c], load(from[c]), mode);
  });
}

}  // namespace

template <class T>
void rotary_forward(const RotaryForward<T>& args) {
  rotate(args.y, args.x, args.rows, compute_t<T>{1}, std::integral_constant<GradMode, GradMode::Overwrite>());
}

template <class T>
void rotary_backward(const RotaryBackward<T>& args) {
  if (args.dx_mode == GradMode::Ignore) return;
  with_mode(args.dx_mode, [&](auto mode) { rotate(args.dx, args.dy, args.rows, compute_t<T>{-1}, mode); });
}

template <class T>
int64_t rotary_scratch_bytes(int64_t tokens, int64_t head_dim) {
  return tokens * head_dim * static_cast<int64_t>(sizeof(compute_t<T>));
}

template void rotary_forward(const RotaryForward<float>&);
template void rotary_forward(const RotaryForward<bf16>&);
template void rotary_forward(const RotaryForward<double>&);
template void rotary_backward(const RotaryBackward<float>&);
template void rotary_backward(const RotaryBackward<bf16>&);
template void rotary_backward(const RotaryBackward<double>&);
template int64_t rotary_scratch_bytes<float>(int64_t, int64_t);
template int64_t rotary_scratch_bytes<bf16>(int64_t, int64_t);
template int64_t rotary_scratch_bytes<double>(int64_t, int64_t);

}  // namespace prospect::kernels::cpu
