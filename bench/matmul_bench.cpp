#include "kernels/matmul/matmul.h"

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

/// The three products of a layer: y = x w^T, dx = dy w and dw += dy^T x.
template <class T>
kernels::Matmul<T> layer_product(int64_t which, T* x, T* y, T* w, int64_t rows, int64_t in, int64_t out) {
  switch (which) {
    case 0:
      return {.y = y,
              .a = x,
              .b = w,
              .rows = rows,
              .columns = out,
              .inner = in,
              .lda = in,
              .ldb = in,
              .ldy = out,
              .transpose_b = true};
    case 1:
      return {.y = x,
              .a = y,
              .b = w,
              .rows = rows,
              .columns = in,
              .inner = out,
              .lda = out,
              .ldb = in,
              .ldy = in};
    default:
      return {.y = w,
              .y_mode = GradMode::Accumulate,
              .a = y,
              .b = x,
              .rows = out,
              .columns = in,
              .inner = rows,
              .lda = out,
              .ldb = in,
              .ldy = in,
              .transpose_a = true};
  }
}

template <class T>
void layer(benchmark::State& state, DType dtype) {
  const int64_t rows = state.range(1), in = state.range(2), out = state.range(3);
  const int64_t layers = (int64_t{128} << 20) / (dtype_bytes(dtype) * in * out);
  const Tensor weights = values({layers, out * in}, dtype), x = values({rows, in}, dtype),
               y = values({rows, out}, dtype);
  std::vector<std::byte> scratch(
      static_cast<size_t>(std::max({kernels::cpu::matmul_scratch_bytes<T>(rows, out, in),
                                    kernels::cpu::matmul_scratch_bytes<T>(rows, in, out),
                                    kernels::cpu::matmul_scratch_bytes<T>(out, in, rows)})));
  int64_t number = 0;
  for (auto _ : state) {
    kernels::Matmul<T> args = layer_product(state.range(0), x.data<T>(), y.data<T>(),
                                            weights.data<T>() + number++ % layers * out * in, rows, in, out);
    args.scratch = scratch.data();
    kernels::cpu::matmul(args);
  }
  report(state, static_cast<double>(dtype_bytes(dtype) * (rows * in + out * in + rows * out)),
         2.0 * static_cast<double>(rows * in * out));
}

/// A layer's products, each with weights that come from memory, as in a step. Arguments: which of the three,
/// rows, in, out, and whether the storage is bf16.
void matmul_layer(benchmark::State& state) {
  state.range(4) ? layer<bf16>(state, DType::BF16) : layer<float>(state, DType::F32);
}
BENCHMARK(matmul_layer)
    ->ArgsProduct({{0, 1, 2}, {100, 512}, {576}, {576, 3072}, {0, 1}})
    ->ArgsProduct({{0, 1, 2}, {100, 512}, {1536}, {576}, {0, 1}})
    ->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
