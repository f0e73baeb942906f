// One pass: forward reads x and writes y; backward reads dy and x and writes dx.
#include "kernels/common/elementwise.cuh"
#include "kernels/common/sigmoid.cuh"
#include "kernels/gelu/gelu.h"
#include "kernels/gelu/scaled_tail.h"

namespace prospect::kernels::cuda {
namespace {

/// A value and its derivative.
struct Term {
  float y, slope;
};

struct Exact {
  __device__ static Term at(float x) {
    constexpr float kHalfLog2E = 0.72134752f;  // exp(-x^2 / 2) = 2^(-x^2 log2(e) / 2)
    constexpr float kDensity = 0.39894228f;    // 1 / sqrt(2 pi)
    const float gauss = ptx::exp2_approximate(-kHalfLog2E * x * x);
    const float tail = gauss * scaled_tail(ptx::reciprocal_approximate(1 + kTailSlope * fabsf(x)));
    const float distribution = x < 0 ? tail : 1 - tail;
    return {x * distribution, distribution + x * kDensity * gauss};
  }
};

struct Tanh {
  __device__ static Term at(float x) {
    constexpr float kScale = 2 * 0.79788456f;  // 2 sqrt(2 / pi)
    constexpr float kCubic = 0.044715f;
    const float square = x * x;
    const auto [s, rest] = sigmoids(kScale * x * (1 + kCubic * square));
    return {x * s, s + x * s * rest * kScale * (1 + 3 * kCubic * square)};
  }
};

template <class Kind>
struct Gelu {
  __device__ void operator()(const float (&in)[1], float (&out)[1]) const { out[0] = Kind::at(in[0]).y; }
};

template <class Kind>
struct GeluGradient {
  __device__ void operator()(const float (&in)[2], float (&out)[1]) const {
    out[0] = in[0] * Kind::at(in[1]).slope;
  }
};

template <class Kind, class T>
void forward(const GeluForward<T>& args, Stream stream) {
  elementwise<T, 1, 1>({.inputs = {{args.x, 0}},
                        .outputs = {{args.y, 0, GradMode::Overwrite}},
                        .rows = 1,
                        .columns = args.count},
                       Gelu<Kind>{}, stream, "gelu_forward");
}

template <class Kind, class T>
void backward(const GeluBackward<T>& args, Stream stream) {
  elementwise<T, 2, 1>({.inputs = {{args.dy, 0}, {args.x, 0}},
                        .outputs = {{args.dx, 0, args.dx_mode}},
                        .rows = 1,
                        .columns = args.count},
                       GeluGradient<Kind>{}, stream, "gelu_backward");
}

}  // namespace

template <class T>
void gelu_forward(const GeluForward<T>& args, Stream stream) {
  args.kind == GeluKind::Exact ? forward<Exact>(args, stream) : forward<Tanh>(args, stream);
}

template <class T>
void gelu_backward(const GeluBackward<T>& args, Stream stream) {
  if (args.dx_mode == GradMode::Ignore) return;
  args.kind == GeluKind::Exact ? backward<Exact>(args, stream) : backward<Tanh>(args, stream);
}

template void gelu_forward(const GeluForward<float>&, Stream);
template void gelu_forward(const GeluForward<bf16>&, Stream);
template void gelu_backward(const GeluBackward<float>&, Stream);
template void gelu_backward(const GeluBackward<bf16>&, Stream);

}  // namespace prospect::kernels::cuda
