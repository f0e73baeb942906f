#include "kernels/kto/kto.h"

#include <vector>

#include "bench/bench.h"

namespace prospect::bench {

void kto_forward(benchmark::State& state) {
  const int64_t sequences = state.range(0), tokens = state.range(1);
  const Tensor rows = values({sequences * tokens}, DType::F32);
  const Tensor sums = Tensor::empty({5, sequences}, DType::F64, Device::cpu());
  std::vector<int32_t> offsets(sequences + 1);
  for (int64_t s = 0; s <= sequences; ++s) offsets[s] = static_cast<int32_t>(s * tokens);
  double* out = sums.data<double>();
  for (auto _ : state) {
    kernels::cpu::kto_forward<float>({.log_ratios = out,
                                      .values = out + sequences,
                                      .slopes = out + 2 * sequences,
                                      .entropy_sums = out + 3 * sequences,
                                      .logit_sums = out + 4 * sequences,
                                      .log_probabilities = rows.data<float>(),
                                      .reference = rows.data<float>(),
                                      .entropies = rows.data<float>(),
                                      .logit_means = rows.data<float>(),
                                      .offsets = offsets.data(),
                                      .labels = nullptr,
                                      .z0 = nullptr,
                                      .given_slopes = nullptr,
                                      .objective = {},
                                      .sequences = sequences});
  }
  report(state, 4.0 * 4 * sequences * tokens, 4.0 * sequences * tokens);
}
BENCHMARK(kto_forward)->Args({64, 256})->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
