#include <fmt/format.h>

#include "bench/cases.h"
#include "kernels/log_softmax_gather/log_softmax_gather.h"

namespace prospect::bench {
namespace {

std::vector<int32_t> targets(int64_t rows, int64_t columns) {
  std::vector<int32_t> result(static_cast<size_t>(rows));
  for (size_t i = 0; i < result.size(); ++i)
    result[i] = static_cast<int32_t>(i * 7919 % static_cast<size_t>(columns));
  return result;
}

Work forward(Arrays& arrays, int64_t rows, int64_t columns) {
  const kernels::LogSoftmaxGatherForward<float> args{.log_probabilities = arrays.empty<float>(rows),
                                                     .log_sum_exp = arrays.empty<float>(rows),
                                                     .entropies = arrays.empty<float>(rows),
                                                     .logit_means = arrays.empty<float>(rows),
                                                     .logits = arrays.normal<float>(rows * columns),
                                                     .targets = arrays.given(targets(rows, columns)),
                                                     .rows = rows,
                                                     .columns = columns,
                                                     .stride = columns};
  return {.bytes = static_cast<double>(rows * (columns + 5) * 4), .run = [=](kernels::cuda::Stream stream) {
            kernels::cuda::log_softmax_gather_forward(args, stream);
          }};
}

template <class T>
Work backward(Arrays& arrays, int64_t rows, int64_t columns) {
  const kernels::LogSoftmaxGatherBackward<T> args{
      .gradient = arrays.empty<T>(rows * columns),
      .logits = arrays.normal<float>(rows * columns),
      .log_sum_exp = arrays.given(std::vector<float>(static_cast<size_t>(rows), 11.0f)),
      .row_slopes = arrays.normal<float>(rows),
      .targets = arrays.given(targets(rows, columns)),
      .rows = rows,
      .columns = columns,
      .stride = columns};
  const int64_t bytes = rows * columns * (4 + static_cast<int64_t>(sizeof(T))) + rows * 12;
  return {.bytes = static_cast<double>(bytes), .run = [=](kernels::cuda::Stream stream) {
            kernels::cuda::log_softmax_gather_backward(args, stream);
          }};
}

void add(std::vector<Case>& list, int64_t rows, int64_t columns) {
  list.push_back({fmt::format("log_softmax_gather_forward f32 {}x{}", rows, columns),
                  [=](Arrays& arrays) { return forward(arrays, rows, columns); }});
  list.push_back({fmt::format("log_softmax_gather_backward bf16 {}x{}", rows, columns),
                  [=](Arrays& arrays) { return backward<bf16>(arrays, rows, columns); }});
}

}  // namespace

// Chunks of the vocabularies of Llama 3 and of GPT-2, whose rows begin anywhere.
std::vector<Case> cases() {
  std::vector<Case> list;
  add(list, 2048, 128256);
  add(list, 4096, 50257);
  list.push_back({"log_softmax_gather_backward f32 2048x128256",
                  [](Arrays& arrays) { return backward<float>(arrays, 2048, 128256); }});
  return list;
}

}  // namespace prospect::bench
