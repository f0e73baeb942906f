#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>

#include "bench/machine_rates.h"
#include "engine/ops.h"

namespace prospect::bench {

/// Values without meaning that are neither zero nor equal.
inline Tensor values(const Shape& shape, DType dtype) {
  Tensor tensor = Tensor::empty(shape, DType::F32, Device::cpu());
  for (int64_t i = 0; i < tensor.count(); ++i) {
    tensor.data<float>()[i] =
        static_cast<float>(static_cast<uint32_t>(i) * 2654435761u >> 8) * 0x1p-24f - 0.5f;
  }
  return convert(tensor, dtype);
}

/// Reports bytes a second and flops a second of what ran so far, and what share of the machine's bound that
/// is: the time that the bytes take from memory, or the flops in registers, over the time it took. It is
/// above 1 where operands stay in the caches from one iteration to the next.
inline void report(benchmark::State& state, double bytes, double flops) {
  using benchmark::Counter;
  const MachineRates& rates = machine_rates();
  const double bound = std::max(bytes / rates.bytes, flops / rates.flops);
  state.counters["B/s"] = Counter(bytes, Counter::kIsIterationInvariantRate);
  state.counters["flop/s"] = Counter(flops, Counter::kIsIterationInvariantRate);
  state.counters["share"] = Counter(bound, Counter::kIsIterationInvariantRate);
}

}  // namespace prospect::bench
