#include "bench/bench.h"

namespace prospect::bench {

namespace {

/// Ten sequences of 55 to 100 tokens, as an aligned batch of short answers has them, or equal ones.
std::vector<int32_t> lengths(int64_t sequences, int64_t length) {
  std::vector<int32_t> values;
  for (int64_t s = 0; s < sequences; ++s) {
    values.push_back(static_cast<int32_t>(length > 0 ? length : 55 + 5 * s));
  }
  return values;
}

struct Case {
  AttentionOptions options;
  Tensor bounds;
  int64_t tokens = 0, pairs = 0;

  explicit Case(const benchmark::State& state)
      : options{.layout = {state.range(0), state.range(1), state.range(2)}} {
    std::vector<int32_t> rows;
    for (const int32_t length : lengths(state.range(3), state.range(4))) {
      const auto begin = static_cast<int32_t>(tokens);
      rows.insert(rows.end(), {begin, begin + length, begin, begin + length});
      tokens += length;
      pairs += options.layout.heads * length * (length + 1) / 2;
    }
    bounds = Tensor::from(rows, {state.range(3), 4}, Device::cpu());
  }
  double bytes() const {
    return 4.0 * tokens * (options.layout.columns() + options.layout.heads * options.layout.head_dim);
  }
  double pair_flops() const { return static_cast<double>(pairs * options.layout.head_dim); }
};

}  // namespace

void attention_forward(benchmark::State& state) {
  const Case c(state);
  const Variable qkv(values({c.tokens, c.options.layout.columns()}, DType::F32));
  for (auto _ : state) benchmark::DoNotOptimize(attention(qkv, c.bounds, c.options).value().bytes());
  report(state, c.bytes(), 4 * c.pair_flops());
}

void attention_backward(benchmark::State& state) {
  const Case c(state);
  const auto qkv = Variable::parameter(values({c.tokens, c.options.layout.columns()}, DType::F32));
  const Tensor seed = values({c.tokens, c.options.layout.heads * c.options.layout.head_dim}, DType::F32);
  for (auto _ : state) {
    state.PauseTiming();
    const Variable y = attention(qkv, c.bounds, c.options);
    state.ResumeTiming();
    backward(y, seed);
  }
  report(state, 2 * c.bytes(), 10 * c.pair_flops());
}

/// One new query for each of 100 sequences with 2048 keys in the cache.
void attention_generation(benchmark::State& state) {
  const int64_t sequences = state.range(0), keys = state.range(1);
  const AttentionOptions options{.layout = {9, 3, 64}};
  std::vector<int32_t> rows;
  for (int32_t s = 0; s < sequences; ++s) {
    const auto begin = static_cast<int32_t>(s * keys);
    rows.insert(rows.end(), {s, s + 1, begin, begin + static_cast<int32_t>(keys)});
  }
  const Tensor bounds = Tensor::from(rows, {sequences, 4}, Device::cpu());
  const Tensor qkv = values({sequences, options.layout.columns()}, DType::F32);
  const Tensor cache = values({sequences * keys, 3 * 64}, DType::F32);
  for (auto _ : state) {
    benchmark::DoNotOptimize(attention_cached(qkv, cache, cache, bounds, options).bytes());
  }
  report(state, 2.0 * 4 * sequences * keys * 3 * 64, 4.0 * 64 * 9 * sequences * keys);
}

// heads, kv_heads, head_dim, sequences, length (0: 55 to 100)
BENCHMARK(attention_forward)->Args({9, 3, 64, 10, 0})->Args({12, 12, 64, 1, 1024})->UseRealTime();
BENCHMARK(attention_backward)->Args({9, 3, 64, 10, 0})->Args({12, 12, 64, 1, 1024})->UseRealTime();
BENCHMARK(attention_generation)->Args({100, 2048})->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
