#include <algorithm>

#include "bench/bench.h"
#include "kernels/matmul/matmul.h"

namespace prospect::bench {

constexpr int64_t kSequences = 8;

HeadInputs make_inputs(int64_t rows) {
  HeadInputs inputs;
  for (int64_t s = 0; s <= kSequences; ++s) {
    inputs.host_offsets.push_back(static_cast<int32_t>(s * rows / kSequences));
  }
  inputs.offsets = Tensor::from(inputs.host_offsets, Device::cpu());
  inputs.targets = Tensor::zeros({rows}, DType::I32, Device::cpu());
  return inputs;
}

/// Forward and backward in one; all three products. The last argument: MiB of logits held.
void head_training(benchmark::State& state) {
  const int64_t rows = state.range(0), columns = state.range(1), vocabulary = state.range(2);
  const auto hidden = Variable::parameter(values({rows, columns}, DType::F32));
  const auto weight = Variable::parameter(values({vocabulary, columns}, DType::F32));
  HeadInputs inputs = make_inputs(rows);
  inputs.chunk_bytes = state.range(3) << 20;
  for (auto _ : state) {
    weight.zero_grad();
    hidden.zero_grad();
    backward(head(hidden, weight, inputs).loss);
  }
  report(state, 4.0 * 4 * vocabulary * columns, 6.0 * rows * columns * vocabulary);
}
BENCHMARK(head_training)->ArgsProduct({{512}, {576}, {49152}, {32, 64, 128}})->UseRealTime();

void head_scoring(benchmark::State& state) {
  const int64_t rows = state.range(0), columns = state.range(1), vocabulary = state.range(2);
  const Variable hidden(values({rows, columns}, DType::F32)),
      weight(values({vocabulary, columns}, DType::F32));
  const HeadInputs inputs = make_inputs(rows);
  for (auto _ : state) benchmark::DoNotOptimize(head(hidden, weight, inputs).loss.value().bytes());
  report(state, 4.0 * vocabulary * columns, 2.0 * rows * columns * vocabulary);
}
BENCHMARK(head_scoring)->Args({512, 576, 49152})->UseRealTime();

/// What cannot be avoided: the three products alone, logits whole.
void head_bare_products(benchmark::State& state) {
  const int64_t rows = state.range(0), columns = state.range(1), vocabulary = state.range(2);
  const Tensor hidden = values({rows, columns}, DType::F32),
               weight = values({vocabulary, columns}, DType::F32);
  const Tensor logits = Tensor::zeros({rows, vocabulary}, DType::F32, Device::cpu());
  const Tensor dhidden = Tensor::zeros({rows, columns}, DType::F32, Device::cpu());
  const Tensor dweight = Tensor::zeros({vocabulary, columns}, DType::F32, Device::cpu());
  using kernels::cpu::matmul_scratch_bytes;
  const std::vector<int64_t> needs = {matmul_scratch_bytes<float>(rows, vocabulary, columns),
                                      matmul_scratch_bytes<float>(rows, columns, vocabulary),
                                      matmul_scratch_bytes<float>(vocabulary, columns, rows)};
  std::vector<std::byte> scratch(static_cast<size_t>(*std::ranges::max_element(needs)));
  for (auto _ : state) {
    kernels::cpu::matmul<float>({.y = logits.data<float>(),
                                 .scratch = scratch.data(),
                                 .a = hidden.data<float>(),
                                 .b = weight.data<float>(),
                                 .rows = rows,
                                 .columns = vocabulary,
                                 .inner = columns,
                                 .lda = columns,
                                 .ldb = columns,
                                 .ldy = vocabulary,
                                 .transpose_b = true});
    kernels::cpu::matmul<float>({.y = dhidden.data<float>(),
                                 .scratch = scratch.data(),
                                 .a = logits.data<float>(),
                                 .b = weight.data<float>(),
                                 .rows = rows,
                                 .columns = columns,
                                 .inner = vocabulary,
                                 .lda = vocabulary,
                                 .ldb = columns,
                                 .ldy = columns});
    kernels::cpu::matmul<float>({.y = dweight.data<float>(),
                                 .scratch = scratch.data(),
                                 .a = logits.data<float>(),
                                 .b = hidden.data<float>(),
                                 .rows = vocabulary,
                                 .columns = columns,
                                 .inner = rows,
                                 .lda = vocabulary,
                                 .ldb = columns,
                                 .ldy = columns,
                                 .transpose_a = true});
  }
  report(state, 4.0 * 3 * vocabulary * columns, 6.0 * rows * columns * vocabulary);
}
BENCHMARK(head_bare_products)->Args({512, 576, 49152})->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
