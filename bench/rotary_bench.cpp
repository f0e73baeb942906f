#include "bench/bench.h"

namespace prospect::bench {

/// Arguments: tokens, heads, key and value heads, head_dim.
struct RotaryCase {
  explicit RotaryCase(const benchmark::State& state)
      : layout{.heads = state.range(1), .kv_heads = state.range(2), .head_dim = state.range(3)},
        positions(Tensor::empty({state.range(0)}, DType::I32, Device::cpu())),
        frequencies(values({layout.head_dim / 2}, DType::F64)),
        qkv(values({state.range(0), layout.columns()}, DType::F32)) {
    for (int32_t t = 0; t < state.range(0); ++t) positions.data<int32_t>()[t] = t;
  }
  double elements() const { return static_cast<double>(qkv.count()); }

  HeadLayout layout;
  Tensor positions, frequencies, qkv;
};

void rotary_forward(benchmark::State& state) {
  const RotaryCase in(state);
  const Variable qkv(in.qkv);
  for (auto _ : state) {
    benchmark::DoNotOptimize(rotary(qkv, in.positions, in.frequencies, in.layout).value().bytes());
  }
  report(state, 2.0 * 4 * in.elements(), 3.0 * in.elements());
}
BENCHMARK(rotary_forward)->Args({1024, 12, 4, 64})->UseRealTime();

void rotary_backward(benchmark::State& state) {
  const RotaryCase in(state);
  const auto qkv = Variable::parameter(in.qkv);
  for (auto _ : state) {
    state.PauseTiming();
    qkv.zero_grad();
    const Variable y = rotary(qkv, in.positions, in.frequencies, in.layout);
    state.ResumeTiming();
    backward(y, in.qkv);
  }
  report(state, 2.0 * 4 * in.elements(), 3.0 * in.elements());
}
BENCHMARK(rotary_backward)->Args({1024, 12, 4, 64})->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
