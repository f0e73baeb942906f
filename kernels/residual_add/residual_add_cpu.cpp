#include "kernels/residual_add/residual_add.h"

#include <algorithm>

#include "kernels/common/parallel.h"

namespace prospect::kernels::cpu {

namespace {

/// Elements [begin, begin + count) of dy into those of target, which may be null under Ignore.
template <class T>
void pass_on(T* target, const T* dy, int64_t begin, int64_t count, GradMode mode) {
  if (mode == GradMode::Ignore) return;
  T* to = target + begin;
  const T* from = dy + begin;
  if (mode == GradMode::Overwrite) {
    std::copy(from, from + count, to);
  } else {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) put(to[i], load(from[i]), GradMode::Accumulate);
  }
}

}  // namespace

template <class T>
void residual_add_forward(const ResidualAddForward<T>& args) {
  for_parts(args.count, [&](int64_t begin, int64_t count) {
    T* y = args.y + begin;
    const T* x = args.x + begin;
    const T* branch = args.branch + begin;
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) store(y[i], load(x[i]) + load(branch[i]));
  });
}

template <class T>
void residual_add_backward(const ResidualAddBackward<T>& args) {
  for_parts(args.count, [&](int64_t begin, int64_t count) {
    pass_on(args.dx, args.dy, begin, count, args.dx_mode);
    pass_on(args.dbranch, args.dy, begin, count, args.dbranch_mode);
  });
}

template void residual_add_forward(const ResidualAddForward<float>&);
template void residual_add_forward(const ResidualAddForward<bf16>&);
template void residual_add_forward(const ResidualAddForward<double>&);
template void residual_add_backward(const ResidualAddBackward<float>&);
template void residual_add_backward(const ResidualAddBackward<bf16>&);
template void residual_add_backward(const ResidualAddBackward<double>&);

}  // namespace prospect::kernels::cpu
