#include "bench/bench.h"

namespace prospect::bench {

void rmsnorm_forward(benchmark::State& state) {
  const int64_t rows = state.range(0), columns = state.range(1);
  const Variable x(values({rows, columns}, DType::F32)), weight(values({columns}, DType::F32));
  for (auto _ : state) benchmark::DoNotOptimize(rmsnorm(x, weight, 1e-5).value().bytes());
  report(state, 2.0 * 4 * rows * columns, 4.0 * rows * columns);
}
BENCHMARK(rmsnorm_forward)->Args({1024, 768})->UseRealTime();

void rmsnorm_backward(benchmark::State& state) {
  const int64_t rows = state.range(0), columns = state.range(1);
  const auto x = Variable::parameter(values({rows, columns}, DType::F32));
  const auto weight = Variable::parameter(values({columns}, DType::F32));
  const Tensor seed = values({rows, columns}, DType::F32);
  for (auto _ : state) {
    state.PauseTiming();
    x.zero_grad();
    const Variable y = rmsnorm(x, weight, 1e-5);
    state.ResumeTiming();
    backward(y, seed);
  }
  report(state, 3.0 * 4 * rows * columns, 10.0 * rows * columns);
}
BENCHMARK(rmsnorm_backward)->Args({1024, 768})->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
