#include "kernels/swiglu/swiglu.h"

#include "kernels/common/fast_math.h"
#include "kernels/common/parallel.h"

namespace prospect::kernels::cpu {

template <class T>
void swiglu_forward(const SwigluForward<T>& args) {
  const int64_t columns = args.columns;
  parallel_for(args.rows, [&](int64_t row) {
    T* y = args.y + row * columns;
    const T* gate = args.gate_up + row * 2 * columns;
    const T* up = gate + columns;
#pragma omp simd
    for (int64_t c = 0; c < columns; ++c) {
      store(y[c], load(gate[c]) * fast_sigmoid(load(gate[c])) * load(up[c]));
    }
  });
}

namespace {

template <class T>
void gradient(const SwigluBackward<T>& args, auto mode) {
  using C = compute_t<T>;
  const int64_t columns = args.columns;
  parallel_for(args.rows, [&](int64_t row) {
    T* dgate = args.dgate_up + row * 2 * columns;
    T* dup = dgate + columns;
    const T* dy = args.dy + row * columns;
    const T* gate = args.gate_up + row * 2 * columns;
    const T* up = gate + columns;
#pragma omp simd
    for (int64_t c = 0; c < columns; ++c) {
      const C g = load(gate[c]), slope = load(dy[c]);
      const auto [s, rest] = fast_sigmoids(g);
      put(dgate[c], slope * load(up[c]) * s * (1 + g * rest), mode);
      put(dup[c], slope * g * s, mode);
    }
  });
}

}  // namespace

template <class T>
void swiglu_backward(const SwigluBackward<T>& args) {
  if (args.dgate_up_mode == GradMode::Ignore) return;
  with_mode(args.dgate_up_mode, [&](auto mode) { gradient(args, mode); });
}

template void swiglu_forward(const SwigluForward<float>&);
template void swiglu_forward(const SwigluForward<bf16>&);
template void swiglu_forward(const SwigluForward<double>&);
template void swiglu_backward(const SwigluBackward<float>&);
template void swiglu_backward(const SwigluBackward<bf16>&);
template void swiglu_backward(const SwigluBackward<double>&);

}  // namespace prospect::kernels::cpu
