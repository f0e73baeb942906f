#include "kernels/log_softmax_gather/log_softmax_gather.h"

#include "bench/bench.h"

namespace prospect::bench {

struct Buffers {
  Tensor logits, log_probabilities, log_sum_exp, entropies, means, targets;
};

Buffers make_buffers(int64_t rows, int64_t columns) {
  const auto vector = [&](DType dtype) { return Tensor::zeros({rows}, dtype, Device::cpu()); };
  return {values({rows, columns}, DType::F32),
          vector(DType::F32),
          vector(DType::F32),
          vector(DType::F32),
          vector(DType::F32),
          vector(DType::I32)};
}

void log_softmax_gather_forward(benchmark::State& state) {
  const int64_t rows = state.range(0), columns = state.range(1);
  const Buffers b = make_buffers(rows, columns);
  for (auto _ : state) {
    kernels::cpu::log_softmax_gather_forward<float>({.log_probabilities = b.log_probabilities.data<float>(),
                                                     .log_sum_exp = b.log_sum_exp.data<float>(),
                                                     .entropies = b.entropies.data<float>(),
                                                     .logit_means = b.means.data<float>(),
                                                     .logits = b.logits.data<float>(),
                                                     .targets = b.targets.data<int32_t>(),
                                                     .rows = rows,
                                                     .columns = columns,
                                                     .stride = columns});
  }
  report(state, 4.0 * rows * columns, 6.0 * rows * columns);
}
BENCHMARK(log_softmax_gather_forward)->Args({170, 49152})->UseRealTime();

void log_softmax_gather_backward(benchmark::State& state) {
  const int64_t rows = state.range(0), columns = state.range(1);
  const Buffers b = make_buffers(rows, columns);
  // Slopes of 0 keep the logits, which are overwritten, bounded from one round to the next.
  for (auto _ : state) {
    kernels::cpu::log_softmax_gather_backward<float>({.gradient = b.logits.data<float>(),
                                                      .logits = b.logits.data<float>(),
                                                      .log_sum_exp = b.log_sum_exp.data<float>(),
                                                      .row_slopes = b.means.data<float>(),
                                                      .targets = b.targets.data<int32_t>(),
                                                      .rows = rows,
                                                      .columns = columns,
                                                      .stride = columns});
  }
  report(state, 2.0 * 4 * rows * columns, 2.0 * rows * columns);
}
BENCHMARK(log_softmax_gather_backward)->Args({170, 49152})->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
