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

template <int64_t kBytes>
[[gnu::always_inline]] inline void multiply_add(int64_t count) {
  using Lanes = typename kernels::cpu::VectorOf<float, kBytes>::type;
  Lanes sums[kChains] = {}, factor = {}, term = {};
  benchmark::DoNotOptimize(factor);
  benchmark::DoNotOptimize(term);
  for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 12
    for (int64_t chain = 0; chain < kChains; ++chain) sums[chain] = sums[chain] * factor + term;
  }
  benchmark::DoNotOptimize(sums);
}

inline double narrow_flops(int64_t rounds) {
  multiply_add<32>(rounds);
  return 2.0 * kChains * 8 * static_cast<double>(rounds);
}
#ifdef __x86_64__
[[gnu::target("avx512f")]] inline double wide_flops(int64_t rounds) {
  multiply_add<64>(rounds);
  return 2.0 * kChains * 16 * static_cast<double>(rounds);
}
#endif
/// Rounds of kChains multiply-adds in the widest registers; returns their flops.
inline double flops_of(int64_t rounds) {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f")) return wide_flops(rounds);
#endif
  return narrow_flops(rounds);
}

}  // namespace detail

inline const MachineRates& machine_rates() {
  static const MachineRates rates = [] {
    constexpr int64_t kRounds = 4'000'000;
    const double flops = detail::flops_of(1) * kRounds * thread_count();
    const double multiply_seconds = detail::best_seconds([] { detail::flops_of(kRounds); });
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
