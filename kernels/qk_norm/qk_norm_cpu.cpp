#include "kernels/qk_norm/qk_norm.h"

#include <algorithm>

#include "kernels/common/parallel.h"
#include "kernels/common/threads.h"
#include "kernels/rmsnorm/rmsnorm_row.h"

namespace prospect::kernels::cpu {

template <class T>
void qk_norm_forward(const QkNormForward<T>& args) {
  const QkNormShape& shape = args.shape;
  const int64_t size = shape.head_dim;
  parallel_for(shape.tokens, [&](int64_t token) {
    const T* x = args.x + token * shape.columns();
    T* y = args.y + token * shape.columns();
    compute_t<T>* rstd = args.rstd + token * shape.normalised();
    for (int64_t head = 0; head < shape.normalised(); ++head) {
      const T* weight = head < shape.heads ? args.query_weight : args.key_weight;
      rstd[head] = rmsnorm_row(y + head * size, x + head * size, weight, size, args.epsilon);
    }
    std::copy(x + shape.normalised() * size, x + shape.columns(), y + shape.normalised() * size);
  });
}

namespace {

template <class T>
void input_gradient(const QkNormBackward<T>& args, int64_t token) {
  const QkNormShape& shape = args.shape;
  const int64_t size = shape.head_dim, first = token * shape.columns();
  const T *x = args.x + first, *dy = args.dy + first;
  const compute_t<T>* rstd = args.rstd + token * shape.normalised();
  T* dx = args.dx + first;
  for (int64_t head = 0; head < shape.normalised(); ++head) {
    const int64_t at = head * size;
    const T* weight = head < shape.heads ? args.query_weight : args.key_weight;
    rmsnorm_row_input_gradient(dx + at, args.dx_mode, dy + at, x + at, weight, rstd[head], size);
  }
  with_mode(args.dx_mode, [&](auto mode) {
#pragma omp simd
    for (int64_t c = shape.normalised() * size; c < shape.columns(); ++c) put(dx[c], load(dy[c]), mode);
  });
}

/// Adds those of one token to dquery and dkey, [head_dim] each.
template <class T>
void weight_gradients(const QkNormBackward<T>& args, int64_t token, compute_t<T>* dquery,
                      compute_t<T>* dkey) {
  const QkNormShape& shape = args.shape;
  const int64_t size = shape.head_dim, first = token * shape.columns();
  const compute_t<T>* rstd = args.rstd + token * shape.normalised();
  for (int64_t head = 0; head < shape.normalised(); ++head) {
    const int64_t at = first + head * size;
    rmsnorm_row_weight_gradient(head < shape.heads ? dquery : dkey, args.dy + at, args.x + at, rstd[head],
                                size);
  }
}

/// Adds up the blocks' sums, which lie `stride` apart.
template <class T>
void put_sums(T* target, GradMode mode, const compute_t<T>* sums, int64_t blocks, int64_t stride,
              int64_t count) {
  if (mode == GradMode::Ignore) return;
  for (int64_t c = 0; c < count; ++c) {
    compute_t<T> sum = 0;
    for (int64_t block = 0; block < blocks; ++block) sum += sums[block * stride + c];
    put(target[c], sum, mode);
  }
}

}  // namespace

template <class T>
void qk_norm_backward(const QkNormBackward<T>& args) {
  using C = compute_t<T>;
  const int64_t size = args.shape.head_dim, blocks = thread_count();
  const bool input = args.dx_mode != GradMode::Ignore;
  const bool weights =
      args.dquery_weight_mode != GradMode::Ignore || args.dkey_weight_mode != GradMode::Ignore;
  parallel_for(blocks, [&](int64_t block) {
    C* sums = args.scratch + block * 2 * size;
    std::fill(sums, sums + 2 * size, C{0});
    const Block tokens = block_of(args.shape.tokens, block, blocks);
    for (int64_t token = tokens.begin; token < tokens.end; ++token) {
      if (input) input_gradient(args, token);
      if (weights) weight_gradients(args, token, sums, sums + size);
    }
  });
  put_sums(args.dquery_weight, args.dquery_weight_mode, args.scratch, blocks, 2 * size, size);
  put_sums(args.dkey_weight, args.dkey_weight_mode, args.scratch + size, blocks, 2 * size, size);
}

template <class T>
int64_t qk_norm_backward_scratch_bytes(int64_t head_dim) {
  return thread_count() * 2 * head_dim * static_cast<int64_t>(sizeof(compute_t<T>));
}

template void qk_norm_forward(const QkNormForward<float>&);
template void qk_norm_forward(const QkNormForward<bf16>&);
template void qk_norm_forward(const QkNormForward<double>&);
template void qk_norm_backward(const QkNormBackward<float>&);
template void qk_norm_backward(const QkNormBackward<bf16>&);
template void qk_norm_backward(const QkNormBackward<double>&);
template int64_t qk_norm_backward_scratch_bytes<float>(int64_t);
template int64_t qk_norm_backward_scratch_bytes<bf16>(int64_t);
template int64_t qk_norm_backward_scratch_bytes<double>(int64_t);

}  // namespace prospect::kernels::cpu
