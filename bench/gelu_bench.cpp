#include "bench/bench.h"

namespace prospect::bench {

void gelu_forward(benchmark::State& state) {
  const int64_t count = state.range(0);
  const auto kind = static_cast<GeluKind>(state.range(1));
  const Variable x(values({count}, DType::F32));
  for (auto _ : state) benchmark::DoNotOptimize(gelu(x, kind).value().bytes());
  report(state, 2.0 * 4 * count, 30.0 * count);
}
BENCHMARK(gelu_forward)->Args({1024 * 3072, 0})->Args({1024 * 3072, 1})->UseRealTime();

void gelu_backward(benchmark::State& state) {
  const int64_t count = state.range(0);
  const auto kind = static_cast<GeluKind>(state.range(1));
  const auto x = Variable::parameter(values({count}, DType::F32));
  const Tensor seed = values({count}, DType::F32);
  for (auto _ : state) {
    state.PauseTiming();
    x.zero_grad();
    const Variable y = gelu(x, kind);
    state.ResumeTiming();
    backward(y, seed);
  }
  report(state, 3.0 * 4 * count, 40.0 * count);
}
BENCHMARK(gelu_backward)->Args({1024 * 3072, 0})->Args({1024 * 3072, 1})->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
