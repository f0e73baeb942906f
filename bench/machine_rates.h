#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "kernels/common/threads.h"
#include "kernels/common/vector.h"

/// What this machine's processor can do at best with all threads, measured once a program: the bound of a
/// benchmark whose operands come from memory.
namespace prospect::bench {

struct MachineRates {
  double flops;  ///< float multiply-adds in registers, a second; each counts as two
  double bytes;  ///< read from memory, a second
};

namespace detail {

/// The best of a few runs of body() on every thread, in seconds.
template <class Body>
double best_seconds(const Body& body) {
  double best = 1e30;
  for (int run = 0; run < 5; ++run) {
    const auto start = std::chrono::steady_clock::now();
#pragma omp parallel
    body();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

constexpr int64_t kChains = 12;  // as many as hide the latency of a multiply-add, and as registers hold

inline void multiply_add(int64_t count) {
  kernels::cpu::Vector<float> sums[kChains] = {}, factor = {}, term = {};
  benchmark::DoNotOptimize(factor);
  benchmark::DoNotOptimize(term);
  for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 12
    for (int64_t chain = 0; chain < kChains; ++chain) sums[chain] = sums[chain] * factor + term;
  }
  benchmark::DoNotOptimize(sums);
}

}  // namespace detail

inline const MachineRates& machine_rates() {
  static const MachineRates rates = [] {
    constexpr int64_t kRounds = 4'000'000;
    const double flops = 2.0 * detail::kChains * kernels::cpu::kLanes<float> * kRounds * thread_count();
    const double multiply_seconds = detail::best_seconds([] { detail::multiply_add(kRounds); });
    const std::vector<int64_t> memory(size_t{32} << 20, 1);  // 256 MiB, beyond any cache
    const double read_seconds = detail::best_seconds([&] {
      int64_t sum = 0;
#pragma omp for
      for (size_t i = 0; i < memory.size(); ++i) sum += memory[i];
      benchmark::DoNotOptimize(sum);
    });
    return MachineRates{flops / multiply_seconds, 8.0 * static_cast<double>(memory.size()) / read_seconds};
  }();
  return rates;
}

}  // namespace prospect::bench
