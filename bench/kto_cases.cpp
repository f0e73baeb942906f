#include <fmt/format.h>

#include "bench/cases.h"
#include "kernels/kto/kto.h"

namespace prospect::bench {
namespace {

std::vector<int32_t> offsets(int64_t sequences, int64_t length) {
  std::vector<int32_t> result;
  for (int64_t s = 0; s <= sequences; ++s) result.push_back(static_cast<int32_t>(s * length));
  return result;
}

Work forward(Arrays& arrays, int64_t sequences, int64_t length) {
  const int64_t rows = sequences * length;
  const kernels::KtoForward<float> args{.log_ratios = arrays.empty<double>(sequences),
                                        .values = arrays.empty<double>(sequences),
                                        .slopes = arrays.empty<double>(sequences),
                                        .entropy_sums = arrays.empty<double>(sequences),
                                        .logit_sums = arrays.empty<double>(sequences),
                                        .log_probabilities = arrays.normal<float>(rows),
                                        .reference = arrays.normal<float>(rows),
                                        .entropies = arrays.normal<float>(rows),
                                        .logit_means = arrays.normal<float>(rows),
                                        .offsets = arrays.given(offsets(sequences, length)),
                                        .labels = arrays.zeros<int32_t>(sequences),
                                        .z0 = arrays.zeros<double>(sequences),
                                        .given_slopes = nullptr,
                                        .objective = {},
                                        .sequences = sequences,
                                        .finite = arrays.given<int32_t>({1})};
  return {.bytes = static_cast<double>(16 * rows + sequences * (5 * 8 + 4 + 4 + 8)),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::kto_forward(args, stream); }};
}

Work backward(Arrays& arrays, int64_t sequences, int64_t length) {
  const kernels::KtoBackward<float> args{.row_slopes = arrays.empty<float>(sequences * length),
                                         .slopes = arrays.zeros<double>(sequences),
                                         .shares = arrays.zeros<double>(sequences),
                                         .offsets = arrays.given(offsets(sequences, length)),
                                         .sequences = sequences};
  return {.bytes = static_cast<double>(4 * sequences * length + sequences * 20),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::kto_backward(args, stream); }};
}

void add(std::vector<Case>& list, int64_t sequences, int64_t length) {
  list.push_back({fmt::format("kto_forward f32 {}x{}", sequences, length),
                  [=](Arrays& arrays) { return forward(arrays, sequences, length); }});
  list.push_back({fmt::format("kto_backward f32 {}x{}", sequences, length),
                  [=](Arrays& arrays) { return backward(arrays, sequences, length); }});
}

}  // namespace

// Answers of a large and of a small micro-batch.
std::vector<Case> cases() {
  std::vector<Case> list;
  add(list, 4096, 512);
  add(list, 32, 512);
  return list;
}

}  // namespace prospect::bench
