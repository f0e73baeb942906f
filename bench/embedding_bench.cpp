#include "bench/bench.h"

namespace prospect::bench {

/// Ids all over the table, a few of them often.
Tensor scattered_ids(int64_t tokens, int64_t rows) {
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < tokens; ++t) ids.push_back(static_cast<int32_t>(t % 4 ? t * 7919 % rows : t % 64));
  return Tensor::from(ids, Device::cpu());
}

void embedding_forward(benchmark::State& state) {
  const int64_t tokens = state.range(0), columns = state.range(1), rows = state.range(2);
  const Variable table(values({rows, columns}, DType::F32));
  const Tensor ids = scattered_ids(tokens, rows);
  for (auto _ : state) benchmark::DoNotOptimize(embedding(table, ids).value().bytes());
  report(state, 2.0 * 4 * static_cast<double>(tokens * columns), 0);
}
BENCHMARK(embedding_forward)->Args({4096, 576, 49152})->UseRealTime();

/// Accumulates, as beside a tied head; the rows that no id names are not touched.
void embedding_backward(benchmark::State& state) {
  const int64_t tokens = state.range(0), columns = state.range(1), rows = state.range(2);
  const auto table = Variable::parameter(values({rows, columns}, DType::F32));
  const Tensor ids = scattered_ids(tokens, rows), seed = values({tokens, columns}, DType::F32);
  backward(embedding(table, ids), seed);
  for (auto _ : state) {
    state.PauseTiming();
    const Variable y = embedding(table, ids);
    state.ResumeTiming();
    backward(y, seed);
  }
  report(state, 4.0 * static_cast<double>(tokens * columns), static_cast<double>(tokens * columns));
}
BENCHMARK(embedding_backward)->Args({4096, 576, 49152})->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
