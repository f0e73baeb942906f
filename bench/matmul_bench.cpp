#include "bench/bench.h"

namespace prospect::bench {

/// Arguments: rows, in, out, and whether the storage is bf16.
void matmul_forward(benchmark::State& state) {
  const int64_t rows = state.range(0), in = state.range(1), out = state.range(2);
  const DType dtype = state.range(3) ? DType::BF16 : DType::F32;
  const Variable x(values({rows, in}, dtype)), weight(values({out, in}, dtype));
  for (auto _ : state) benchmark::DoNotOptimize(matmul(x, weight).value().bytes());
  const double bytes = static_cast<double>(dtype_bytes(dtype) * (rows * in + out * in + rows * out));
  report(state, bytes, 2.0 * static_cast<double>(rows * in * out));
}
BENCHMARK(matmul_forward)
    ->ArgsProduct({{1, 4, 8, 12, 1024}, {576}, {1536}, {0, 1}})
    ->ArgsProduct({{1, 4, 8, 12, 256}, {576}, {49152}, {0, 1}})
    ->UseRealTime();

void matmul_backward(benchmark::State& state) {
  const int64_t rows = state.range(0), in = state.range(1), out = state.range(2);
  const auto x = Variable::parameter(values({rows, in}, DType::F32));
  const auto weight = Variable::parameter(values({out, in}, DType::F32));
  const auto bias = Variable::parameter(values({out}, DType::F32));
  const Tensor seed = values({rows, out}, DType::F32);
  for (auto _ : state) {
    state.PauseTiming();
    const Variable y = matmul(x, weight, bias);
    state.ResumeTiming();
    backward(y, seed);
  }
  report(state, 4.0 * static_cast<double>(2 * rows * in + 2 * out * in + rows * out),
         4.0 * static_cast<double>(rows * in * out));
}
BENCHMARK(matmul_backward)->Args({1024, 576, 1536})->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
