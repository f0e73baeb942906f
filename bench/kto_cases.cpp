#include <fmt/format.h>

#include "bench/cases.h"
#include "kernels/kto/kto.h"

namespace prospect::bench {
namespace {

/// Sequences end to end. Where their lengths differ, these go up and down through all of the range.
struct Sequences {
  int64_t count, shortest, longest;

  std::vector<int32_t> offsets() const {
    std::vector<int32_t> result = {0};
    const int64_t lengths = longest - shortest + 1;
    for (int64_t s = 0; s < count; ++s) {
      result.push_back(result.back() + static_cast<int32_t>(shortest + s * 389 % lengths));
    }
    return result;
  }
  std::string name() const {
    return shortest == longest ? fmt::format("{}x{}", count, longest)
                               : fmt::format("{} of {}-{}", count, shortest, longest);
  }
};

Work forward(Arrays& arrays, const Sequences& of) {
  const std::vector<int32_t> offsets = of.offsets();
  const int64_t rows = offsets.back(), sequences = of.count;
  const kernels::KtoForward<float> args{.log_ratios = arrays.empty<double>(sequences),
                                        .values = arrays.empty<double>(sequences),
                                        .slopes = arrays.empty<double>(sequences),
                                        .entropy_sums = arrays.empty<double>(sequences),
                                        .logit_sums = arrays.empty<double>(sequences),
                                        .log_probabilities = arrays.normal<float>(rows),
                                        .reference = arrays.normal<float>(rows),
                                        .entropies = arrays.normal<float>(rows),
                                        .logit_means = arrays.normal<float>(rows),
                                        .offsets = arrays.given(offsets),
                                        .labels = arrays.zeros<int32_t>(sequences),
                                        .z0 = arrays.zeros<double>(sequences),
                                        .given_slopes = nullptr,
                                        .objective = {},
                                        .sequences = sequences,
                                        .finite = arrays.given<int32_t>({1})};
  return {.bytes = static_cast<double>(16 * rows + sequences * (5 * 8 + 4 + 4 + 8)),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::kto_forward(args, stream); }};
}

Work backward(Arrays& arrays, const Sequences& of) {
  const std::vector<int32_t> offsets = of.offsets();
  const int64_t rows = offsets.back(), sequences = of.count;
  const kernels::KtoBackward<float> args{.row_slopes = arrays.empty<float>(rows),
                                         .slopes = arrays.zeros<double>(sequences),
                                         .shares = arrays.zeros<double>(sequences),
                                         .offsets = arrays.given(offsets),
                                         .sequences = sequences};
  return {.bytes = static_cast<double>(4 * rows + sequences * 20),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::kto_backward(args, stream); }};
}

void add(std::vector<Case>& list, const Sequences& of) {
  list.push_back({"kto_forward f32 " + of.name(), [=](Arrays& arrays) { return forward(arrays, of); }});
  list.push_back({"kto_backward f32 " + of.name(), [=](Arrays& arrays) { return backward(arrays, of); }});
}

}  // namespace

// Answers of a large micro-batch, of one length and, as real ones are, of many; and those of a small one.
std::vector<Case> cases() {
  std::vector<Case> list;
  add(list, {4096, 512, 512});
  add(list, {4096, 100, 900});
  add(list, {32, 512, 512});
  return list;
}

}  // namespace prospect::bench
