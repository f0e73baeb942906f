#include "bench/bench.h"

namespace prospect::bench {

void residual_add_forward(benchmark::State& state) {
  const int64_t rows = state.range(0), columns = state.range(1);
  const Variable x(values({rows, columns}, DType::F32)), branch(values({rows, columns}, DType::F32));
  for (auto _ : state) benchmark::DoNotOptimize(residual_add(x, branch).value().bytes());
  report(state, 3.0 * 4 * static_cast<double>(rows * columns), static_cast<double>(rows * columns));
}
BENCHMARK(residual_add_forward)->Args({1024, 768})->Args({8192, 768})->UseRealTime();

void residual_add_backward(benchmark::State& state) {
  const int64_t rows = state.range(0), columns = state.range(1);
  const auto x = Variable::parameter(values({rows, columns}, DType::F32));
  const auto branch = Variable::parameter(values({rows, columns}, DType::F32));
  const Tensor seed = values({rows, columns}, DType::F32);
  for (auto _ : state) {
    state.PauseTiming();
    x.zero_grad();
    branch.zero_grad();
    const Variable y = residual_add(x, branch);
    state.ResumeTiming();
    backward(y, seed);
  }
  report(state, 3.0 * 4 * static_cast<double>(rows * columns), 0);
}
BENCHMARK(residual_add_backward)->Args({1024, 768})->Args({8192, 768})->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
