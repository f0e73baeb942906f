#include "kernels/log_softmax_gather_kto/log_softmax_gather_kto.h"

#include <fmt/format.h>

#include "bench/cases.h"

namespace prospect::bench {
namespace {

/// Equal sequences of `length` rows.
template <class T>
Work at_once(Arrays& arrays, int64_t sequences, int64_t length, int64_t columns) {
  const int64_t rows = sequences * length;
  std::vector<int32_t> offsets;
  for (int64_t s = 0; s <= sequences; ++s) offsets.push_back(static_cast<int32_t>(s * length));
  const float* logits = arrays.normal<float>(rows * columns);
  auto* log_probabilities = arrays.empty<float>(rows);
  auto* log_sum_exp = arrays.empty<float>(rows);
  auto* row_slopes = arrays.empty<float>(rows);
  auto* slopes = arrays.empty<double>(sequences);
  const int32_t* targets = arrays.zeros<int32_t>(rows);
  const int32_t* bounds = arrays.given(offsets);
  const kernels::LogSoftmaxGatherKto<T> args{.statistics = {.log_probabilities = log_probabilities,
                                                            .log_sum_exp = log_sum_exp,
                                                            .entropies = arrays.empty<float>(rows),
                                                            .logit_means = arrays.empty<float>(rows),
                                                            .logits = logits,
                                                            .targets = targets,
                                                            .rows = rows,
                                                            .columns = columns,
                                                            .stride = columns},
                                             .objective = {.log_ratios = arrays.empty<double>(sequences),
                                                           .values = arrays.empty<double>(sequences),
                                                           .slopes = slopes,
                                                           .entropy_sums = nullptr,
                                                           .logit_sums = nullptr,
                                                           .log_probabilities = log_probabilities,
                                                           .reference = arrays.normal<float>(rows),
                                                           .entropies = nullptr,
                                                           .logit_means = nullptr,
                                                           .offsets = bounds,
                                                           .labels = nullptr,
                                                           .z0 = nullptr,
                                                           .given_slopes = nullptr,
                                                           .objective = {},
                                                           .sequences = sequences},
                                             .spread = {.row_slopes = row_slopes,
                                                        .slopes = slopes,
                                                        .shares = nullptr,
                                                        .offsets = bounds,
                                                        .sequences = sequences},
                                             .gradient = {.gradient = arrays.empty<T>(rows * columns),
                                                          .logits = logits,
                                                          .log_sum_exp = log_sum_exp,
                                                          .row_slopes = row_slopes,
                                                          .targets = targets,
                                                          .rows = rows,
                                                          .columns = columns,
                                                          .stride = columns}};
  return {.bytes = static_cast<double>(rows * columns * (4 + static_cast<int64_t>(sizeof(T))) + rows * 28),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::log_softmax_gather_kto(args, stream); }};
}

}  // namespace

// Logits that an H200's shared memory holds: Llama 2's vocabulary, and that of a tiny model.
std::vector<Case> cases() {
  return {{"log_softmax_gather_kto bf16 128x32000", [](Arrays& a) { return at_once<bf16>(a, 4, 32, 32000); }},
          {"log_softmax_gather_kto f32 512x4096", [](Arrays& a) { return at_once<float>(a, 16, 32, 4096); }}};
}

}  // namespace prospect::bench
