#include "bench/bench.h"

namespace prospect::bench {

constexpr HeadLayout kLayout{.heads = 16, .kv_heads = 8, .head_dim = 128};

void qk_norm_forward(benchmark::State& state) {
  const int64_t tokens = state.range(0), columns = kLayout.columns();
  const Variable x(values({tokens, columns}, DType::F32)), weight(values({kLayout.head_dim}, DType::F32));
  for (auto _ : state) {
    benchmark::DoNotOptimize(qk_norm(x, weight, weight, kLayout, 1e-6).value().bytes());
  }
  report(state, 2.0 * 4 * tokens * columns, 4.0 * tokens * columns);
}
BENCHMARK(qk_norm_forward)->Arg(1024)->UseRealTime();

void qk_norm_backward(benchmark::State& state) {
  const int64_t tokens = state.range(0), columns = kLayout.columns();
  const auto x = Variable::parameter(values({tokens, columns}, DType::F32));
  const auto query_weight = Variable::parameter(values({kLayout.head_dim}, DType::F32));
  const auto key_weight = Variable::parameter(values({kLayout.head_dim}, DType::F32));
  const Tensor seed = values({tokens, columns}, DType::F32);
  for (auto _ : state) {
    state.PauseTiming();
    x.zero_grad();
    const Variable y = qk_norm(x, query_weight, key_weight, kLayout, 1e-6);
    state.ResumeTiming();
    backward(y, seed);
  }
  report(state, 3.0 * 4 * tokens * columns, 10.0 * tokens * columns);
}
BENCHMARK(qk_norm_backward)->Arg(1024)->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
