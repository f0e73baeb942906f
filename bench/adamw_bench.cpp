#include "kernels/adamw/adamw.h"

#include "bench/bench.h"

namespace prospect::bench {

template <class T>
void adamw(benchmark::State& state) {
  using C = compute_t<T>;
  const int64_t count = state.range(0);
  const bool rounds = dtype_of<T> == DType::BF16;
  const Tensor parameter = values({count}, dtype_of<T>), gradient = values({count}, dtype_of<T>);
  const Tensor master = rounds ? values({count}, dtype_of<C>) : Tensor();
  const Tensor first = Tensor::zeros({count}, dtype_of<C>, Device::cpu()), second = first.clone();
  int64_t step = 0;
  for (auto _ : state) {
    kernels::cpu::adamw<T>({.parameter = parameter.data<T>(),
                            .master = rounds ? master.data<C>() : nullptr,
                            .first_moment = first.data<C>(),
                            .second_moment = second.data<C>(),
                            .gradient = gradient.data<T>(),
                            .begin = 0,
                            .end = count,
                            .learning_rate = 1e-6,
                            .beta1 = 0.9,
                            .beta2 = 0.999,
                            .epsilon = 1e-8,
                            .weight_decay = 0.01,
                            .step = ++step,
                            .clip_factor = nullptr,
                            .finite = nullptr});
  }
  report(state, (rounds ? 6 * 4 + 2 * 2 : 7 * 4) * static_cast<double>(count), 16.0 * count);
}
BENCHMARK(adamw<float>)->Arg(1 << 23)->UseRealTime();
BENCHMARK(adamw<bf16>)->Arg(1 << 23)->UseRealTime();

}  // namespace prospect::bench

BENCHMARK_MAIN();
