#include <fmt/format.h>

#include "bench/cases.h"
#include "kernels/adamw/adamw.h"

namespace prospect::bench {
namespace {

template <class T>
Work step(Arrays& arrays, int64_t count) {
  constexpr bool kRounded = sizeof(T) < sizeof(float);
  const kernels::AdamW<T> args{.parameter = arrays.normal<T>(count),
                               .master = kRounded ? arrays.normal<float>(count) : nullptr,
                               .first_moment = arrays.zeros<float>(count),
                               .second_moment = arrays.zeros<float>(count),
                               .gradient = arrays.normal<T>(count),
                               .begin = 0,
                               .end = count,
                               .learning_rate = 1e-6,
                               .beta1 = 0.9,
                               .beta2 = 0.999,
                               .epsilon = 1e-8,
                               .weight_decay = 0.01,
                               .step = 1,
                               .clip_factor = arrays.given<double>({0.5}),
                               .finite = arrays.given<int32_t>({1})};
  // Moments and the exact parameters are read and written, gradients read; rounded parameters written.
  const int64_t bytes = count * (6 * 4 + (kRounded ? 2 : 1) * static_cast<int64_t>(sizeof(T)));
  return {.bytes = static_cast<double>(bytes),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::adamw(args, stream); }};
}

}  // namespace

// The parameters of GPT-2 small; those of a layer of a 1B model.
std::vector<Case> cases() {
  constexpr int64_t kSmallModel = 124'475'904, kLayer = 60'821'504;
  return {{fmt::format("adamw bf16 {}", kSmallModel), [](Arrays& a) { return step<bf16>(a, kSmallModel); }},
          {fmt::format("adamw bf16 {}", kLayer), [](Arrays& a) { return step<bf16>(a, kLayer); }},
          {fmt::format("adamw f32 {}", kSmallModel), [](Arrays& a) { return step<float>(a, kSmallModel); }}};
}

}  // namespace prospect::bench
