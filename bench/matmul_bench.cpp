#include "kernels/matmul/matmul.h"

#include "bench/bench.h"
#include "kernels/matmul/matmul_library.h"

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
kernels::Matmul<float> layer_product(int64_t which, float* x, float* y, float* w, int64_t rows, int64_t in,
                                     int64_t out) {
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

/// Our own product beside the library's, whichever the processor would get; weights come from memory, as in a
/// step. Arguments: whose (0: own, 1: oneDNN), which of the three, rows, in, out.
void matmul_peers(benchmark::State& state) {
  const bool own = state.range(0) == 0;
  const int64_t rows = state.range(2), in = state.range(3), out = state.range(4);
  const int64_t layers = (int64_t{128} << 20) / (4 * in * out);
  const Tensor weights = values({layers, out * in}, DType::F32), x = values({rows, in}, DType::F32),
               y = values({rows, out}, DType::F32);
  std::vector<std::byte> scratch(
      static_cast<size_t>(std::max(kernels::cpu::matmul_blocked_scratch_bytes<float>(rows, std::max(in, out)),
                                   kernels::cpu::matmul_blocked_scratch_bytes<float>(out, rows))));
  int64_t layer = 0;
  for (auto _ : state) {
    kernels::Matmul<float> args =
        layer_product(state.range(1), x.data<float>(), y.data<float>(),
                      weights.data<float>() + layer++ % layers * out * in, rows, in, out);
    args.scratch = scratch.data();
    if (own) {
      kernels::cpu::matmul_blocked(args);
    } else if (!kernels::cpu::onednn_product(args)) {
      return state.SkipWithError("built without oneDNN");
    }
  }
  report(state, 4.0 * static_cast<double>(rows * in + out * in + rows * out),
         2.0 * static_cast<double>(rows * in * out));
}
BENCHMARK(matmul_peers)
    ->ArgsProduct({{0, 1}, {0, 1, 2}, {100, 512}, {576}, {576, 3072}})
    ->ArgsProduct({{0, 1}, {0, 1, 2}, {100, 512}, {1536}, {576}})
    ->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
