#include "bench/cards/prediction.h"

#include <algorithm>
#include <cmath>

namespace prospect::bench {

size_t Clocks::bound() const {
  return static_cast<size_t>(std::max_element(of.begin(), of.end()) - of.begin());
}

Clocks predict(const KernelWork& work, const Machine& machine) {
  constexpr double kWarp = 32;
  // Blocks of the busiest multiprocessor, as a part of all. A launch begins when the one before has ended.
  const double launches = work.launches, each = work.blocks / launches;
  const double part = std::ceil(each / machine.multiprocessors) / each;
  const double first_level = work.wavefronts + work.cost.exchange + work.cache_passes;
  const double warp_flops = work.cost.warp_flops, tensor_flops = work.cost.tensor_flops - warp_flops;
  return {{(tensor_flops + warp_flops / machine.warp_products) * part / machine.tensor_flops,
           work.cost.special * kWarp * part / machine.special, work.cost.fp32 * kWarp * part / machine.fp32,
           work.cost.integer * kWarp * part / machine.integer, work.cost.fp64 * kWarp * part / machine.fp64,
           work.instructions() * part / kIssues, first_level * part, work.cache_bytes / machine.cache_bytes,
           work.memory_bytes / machine.memory_bytes_per_second * machine.clock_hz}};
}

int resident_warps(int threads, int registers, int shared_bytes, const Machine& machine) {
  constexpr int kRegisterUnit = 256, kSharedOfSystem = 1 << 10;
  if (shared_bytes > machine.shared_bytes_of_a_block) return 0;
  const int warps = (threads + 31) / 32;
  const int registers_of_warp = (registers * 32 + kRegisterUnit - 1) / kRegisterUnit * kRegisterUnit;
  const int by_registers = kRegisters / (std::max(registers_of_warp, 1) * warps);
  const int by_shared = machine.shared_bytes / (shared_bytes + kSharedOfSystem);
  const int by_threads = kMostThreads / (warps * 32);
  return std::min({by_registers, by_shared, by_threads, kMostBlocks}) * warps;
}

double ideal_seconds(double bytes, double flops, bool in_bf16, const Machine& machine) {
  const double flops_of_one = in_bf16 ? machine.tensor_flops : 2 * machine.fp32;
  return std::max(bytes / machine.memory_bytes_per_second,
                  flops / (flops_of_one * machine.multiprocessors * machine.clock_hz));
}

}  // namespace prospect::bench
