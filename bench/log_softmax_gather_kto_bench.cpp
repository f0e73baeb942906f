#include "kernels/log_softmax_gather_kto/log_softmax_gather_kto.h"

#include <vector>

#include "bench/bench.h"

namespace prospect::bench {

void log_softmax_gather_kto(benchmark::State& state) {
  const int64_t sequences = state.range(0), tokens = state.range(1), columns = state.range(2);
  const int64_t rows = sequences * tokens;
  const Tensor logits = values({rows, columns}, DType::F32),
               of_rows = Tensor::empty({5, rows}, DType::F32, Device::cpu()),
               of_sequences = Tensor::empty({3, sequences}, DType::F64, Device::cpu()),
               targets = Tensor::zeros({rows}, DType::I32, Device::cpu());
  std::vector<int32_t> offsets(sequences + 1);
  for (int64_t s = 0; s <= sequences; ++s) offsets[s] = static_cast<int32_t>(s * tokens);
  // Shares of 0 keep the logits, which are overwritten, bounded from one round to the next.
  const std::vector<double> shares(sequences);
  float* row = of_rows.data<float>();
  double* sequence = of_sequences.data<double>();
  for (auto _ : state) {
    kernels::cpu::log_softmax_gather_kto<float>({.statistics = {.log_probabilities = row,
                                                                .log_sum_exp = row + rows,
                                                                .entropies = row + 2 * rows,
                                                                .logit_means = row + 3 * rows,
                                                                .logits = logits.data<float>(),
                                                                .targets = targets.data<int32_t>(),
                                                                .rows = rows,
                                                                .columns = columns,
                                                                .stride = columns},
                                                 .objective = {.log_ratios = sequence,
                                                               .values = sequence + sequences,
                                                               .slopes = sequence + 2 * sequences,
                                                               .entropy_sums = nullptr,
                                                               .logit_sums = nullptr,
                                                               .log_probabilities = row,
                                                               .reference = nullptr,
                                                               .entropies = nullptr,
                                                               .logit_means = nullptr,
                                                               .offsets = offsets.data(),
                                                               .labels = nullptr,
                                                               .z0 = nullptr,
                                                               .given_slopes = nullptr,
                                                               .objective = {},
                                                               .sequences = sequences},
                                                 .spread = {.row_slopes = row + 4 * rows,
                                                            .slopes = sequence + 2 * sequences,
                                                            .shares = shares.data(),
                                                            .offsets = offsets.data(),
                                                            .sequences = sequences},
                                                 .gradient = {.gradient = logits.data<float>(),
                                                              .logits = logits.data<float>(),
                                                              .log_sum_exp = row + rows,
                                                              .row_slopes = row + 4 * rows,
                                                              .targets = targets.data<int32_t>(),
                                                              .rows = rows,
                                                              .columns = columns,
                                                              .stride = columns}});
  }
  report(state, 3.0 * 4 * rows * columns, 8.0 * rows * columns);
}
BENCHMARK(log_softmax_gather_kto)->Args({4, 42, 49152})->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
