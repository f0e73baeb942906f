#include <fmt/format.h>

#include "bench/cases.h"
#include "kernels/grad_norm/grad_norm.h"

namespace prospect::bench {
namespace {

template <class T>
Work norm(Arrays& arrays, int64_t count) {
  const kernels::GradNorm<T> args{
      .norm = arrays.empty<double>(1),
      .finite = arrays.given<int32_t>({1}),
      .clip_factor = arrays.empty<double>(1),
      .scratch = arrays.empty<double>(kernels::cuda::grad_norm_scratch_bytes() / 8),
      .gradient = arrays.normal<T>(count),
      .begin = 0,
      .end = count,
      .max_norm = 1};
  return {.bytes = static_cast<double>(count * static_cast<int64_t>(sizeof(T))),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::grad_norm(args, stream); }};
}

}  // namespace

std::vector<Case> cases() {
  constexpr int64_t kSmallModel = 124'475'904, kLayer = 60'821'504;
  return {
      {fmt::format("grad_norm bf16 {}", kSmallModel), [](Arrays& a) { return norm<bf16>(a, kSmallModel); }},
      {fmt::format("grad_norm bf16 {}", kLayer), [](Arrays& a) { return norm<bf16>(a, kLayer); }},
      {fmt::format("grad_norm f32 {}", kSmallModel), [](Arrays& a) { return norm<float>(a, kSmallModel); }}};
}

}  // namespace prospect::bench
