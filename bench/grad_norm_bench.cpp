#include "kernels/grad_norm/grad_norm.h"

#include "bench/bench.h"

namespace prospect::bench {

void grad_norm(benchmark::State& state) {
  const int64_t count = state.range(0);
  const Tensor gradient = values({count}, DType::F32);
  std::vector<double> scratch(static_cast<size_t>(kernels::cpu::grad_norm_scratch_bytes(count)) / 8);
  double norm = 0, clip_factor = 0;
  int32_t finite = 0;
  for (auto _ : state) {
    kernels::cpu::grad_norm<float>({.norm = &norm,
                                    .finite = &finite,
                                    .clip_factor = &clip_factor,
                                    .scratch = scratch.data(),
                                    .gradient = gradient.data<float>(),
                                    .begin = 0,
                                    .end = count,
                                    .max_norm = 1});
    benchmark::DoNotOptimize(norm);
  }
  report(state, 4.0 * count, 2.0 * count);
}
BENCHMARK(grad_norm)->Arg(1 << 23)->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
