#include "bench/bench.h"

namespace prospect::bench {

void swiglu_forward(benchmark::State& state) {
  const int64_t rows = state.range(0), columns = state.range(1);
  const Variable gate_up(values({rows, 2 * columns}, DType::F32));
  for (auto _ : state) benchmark::DoNotOptimize(swiglu(gate_up).value().bytes());
  report(state, 3.0 * 4 * rows * columns, 25.0 * rows * columns);
}
BENCHMARK(swiglu_forward)->Args({1024, 2048})->UseRealTime();

void swiglu_backward(benchmark::State& state) {
  const int64_t rows = state.range(0), columns = state.range(1);
  const auto gate_up = Variable::parameter(values({rows, 2 * columns}, DType::F32));
  const Tensor seed = values({rows, columns}, DType::F32);
  for (auto _ : state) {
    state.PauseTiming();
    gate_up.zero_grad();
    const Variable y = swiglu(gate_up);
    state.ResumeTiming();
    backward(y, seed);
  }
  report(state, 5.0 * 4 * rows * columns, 32.0 * rows * columns);
}
BENCHMARK(swiglu_backward)->Args({1024, 2048})->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
