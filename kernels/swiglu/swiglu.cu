// One pass: forward reads gate and up and writes y; backward reads dy, gate and up and writes both gradients.
#include "kernels/common/elementwise.cuh"
#include "kernels/common/sigmoid.cuh"
#include "kernels/swiglu/swiglu.h"

namespace prospect::kernels::cuda {
namespace {

struct Swiglu {
  __device__ void operator()(const float (&in)[2], float (&out)[1]) const {
    const float gate = in[0], up = in[1];
    out[0] = gate * sigmoids(gate).value * up;
  }
};

struct SwigluGradient {
  __device__ void operator()(const float (&in)[3], float (&out)[2]) const {
    const float dy = in[0], gate = in[1], up = in[2];
    const auto [s, rest] = sigmoids(gate);
    out[0] = dy * up * s * (1 + gate * rest);
    out[1] = dy * gate * s;
  }
};

}  // namespace

template <class T>
void swiglu_forward(const SwigluForward<T>& args, Stream stream) {
  const int64_t columns = args.columns;
  elementwise<T, 2, 1>({.inputs = {{args.gate_up, 2 * columns}, {args.gate_up + columns, 2 * columns}},
                        .outputs = {{args.y, columns, GradMode::Overwrite}},
                        .rows = args.rows,
                        .columns = columns},
                       Swiglu{}, stream, "swiglu_forward");
}

template <class T>
void swiglu_backward(const SwigluBackward<T>& args, Stream stream) {
  if (args.dgate_up_mode == GradMode::Ignore) return;
  const int64_t columns = args.columns;
  elementwise<T, 3, 2>(
      {.inputs = {{args.dy, columns}, {args.gate_up, 2 * columns}, {args.gate_up + columns, 2 * columns}},
       .outputs = {{args.dgate_up, 2 * columns, args.dgate_up_mode},
                   {args.dgate_up + columns, 2 * columns, args.dgate_up_mode}},
       .rows = args.rows,
       .columns = columns},
      SwigluGradient{}, stream, "swiglu_backward");
}

template void swiglu_forward(const SwigluForward<float>&, Stream);
template void swiglu_forward(const SwigluForward<bf16>&, Stream);
template void swiglu_backward(const SwigluBackward<float>&, Stream);
template void swiglu_backward(const SwigluBackward<bf16>&, Stream);

}  // namespace prospect::kernels::cuda
