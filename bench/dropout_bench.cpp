#include "bench/bench.h"

namespace prospect::bench {

void dropout_forward(benchmark::State& state) {
  const int64_t rows = state.range(0), columns = state.range(1);
  const Variable x(values({rows, columns}, DType::F32));
  const Tensor zeros = Tensor::zeros({rows}, DType::I32, Device::cpu());
  for (auto _ : state) {
    benchmark::DoNotOptimize(dropout(x, 0.1, zeros, zeros, {.seed = 1}).value().bytes());
  }
  report(state, 2.0 * 4 * static_cast<double>(rows * columns), static_cast<double>(rows * columns));
}
BENCHMARK(dropout_forward)->Args({2048, 512})->UseRealTime();

void dropout_backward(benchmark::State& state) {
  const int64_t rows = state.range(0), columns = state.range(1);
  const auto x = Variable::parameter(values({rows, columns}, DType::F32));
  const Tensor seed = values({rows, columns}, DType::F32);
  const Tensor zeros = Tensor::zeros({rows}, DType::I32, Device::cpu());
  for (auto _ : state) {
    state.PauseTiming();
    x.zero_grad();
    const Variable y = dropout(x, 0.1, zeros, zeros, {.seed = 1});
    state.ResumeTiming();
    backward(y, seed);
  }
  report(state, 2.0 * 4 * static_cast<double>(rows * columns), static_cast<double>(rows * columns));
}
BENCHMARK(dropout_backward)->Args({2048, 512})->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
