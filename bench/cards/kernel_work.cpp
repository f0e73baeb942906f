#include "bench/cards/kernel_work.h"

#include <algorithm>
#include <cmath>

#include "bench/cards/machine.h"

namespace prospect::bench {
namespace {

using emulator::Launch;

/// What is read of arrays of at most so many bytes stays in the first-level cache of each multiprocessor;
/// arrays of at most a quarter of an A100's second-level cache stay there. Of larger arrays that cache is
/// taken to hold what several blocks share, but not what one block asks for again.
constexpr double kFirstLevelBytes = 32 << 10, kSecondLevelBytes = 10e6;

void add_traffic(const Launch& launch, double scale, KernelWork& work) {
  for (const auto& [use, sectors] : launch.traffic.uses) {
    const auto size = static_cast<double>(launch.memory.find(use.allocation)->bytes);
    const double requested = static_cast<double>(sectors.requested * emulator::kSectorBytes) * scale;
    const double touched = static_cast<double>(sectors.distinct * emulator::kSectorBytes) * scale;
    const double again = size <= kSecondLevelBytes ? 1 : requested / touched;
    work.memory_bytes += std::min(touched, size) * again;
    const bool stays = !use.is_written && size <= kFirstLevelBytes;
    work.cache_bytes += stays ? std::min(requested, size * kMachines[0].multiprocessors) : requested;
  }
}

void add_cost(InstructionCost& sum, const InstructionCost& each, double times) {
  sum.fp32 += each.fp32 * times;
  sum.integer += each.integer * times;
  sum.special += each.special * times;
  sum.fp64 += each.fp64 * times;
  sum.exchange += each.exchange * times;
  sum.tensor_flops += each.tensor_flops * times;
  sum.warp_flops += each.warp_flops * times;
  sum.other += each.other * times;
}

/// Of the barrier of a cooperative grid (cooperative_groups/details): how often blocks look whether the
/// others have come depends on the order in which they are emulated, and costs no pipe what others need.
bool waits_for_grid(const Launch& launch, const emulator::Instruction& instruction) {
  const auto file = launch.program.files.find(instruction.at.file);
  return file != launch.program.files.end() && (file->second == "sync.h" || file->second == "helpers.h");
}

KernelWork work_of(const Launch& launch) {
  const auto blocks = static_cast<double>(launch.grid.count());
  const double scale = blocks / static_cast<double>(launch.blocks_run);
  KernelWork work;
  work.launches = 1;
  work.blocks = blocks;
  add_traffic(launch, scale, work);
  for (size_t i = 0; i < launch.executed.size(); ++i) {
    if (launch.executed[i].warps == 0 || waits_for_grid(launch, launch.program.code[i])) continue;
    add_cost(work.cost, cost_of(launch.program.code[i]),
             static_cast<double>(launch.executed[i].warps) * scale);
    const auto& [global, shared] = launch.requests[i];
    work.global_requests += static_cast<double>(global.requests) * scale;
    work.sectors += static_cast<double>(global.units) * scale;
    work.least_sectors += static_cast<double>(global.least) * scale;
    if (shared.requests == 0) {
      const double bytes = static_cast<double>(global.units * emulator::kSectorBytes);
      work.cache_passes += std::max(static_cast<double>(global.requests), bytes / kWavefrontBytes) * scale;
    }
    work.shared_requests += static_cast<double>(shared.requests) * scale;
    work.wavefronts += static_cast<double>(shared.units) * scale;
    work.least_wavefronts += static_cast<double>(shared.least) * scale;
  }
  return work;
}

void erase_all(std::string& text, const std::string& part) {
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part))
    text.erase(at, part.size());
}

}  // namespace

double KernelWork::instructions() const {
  return cost.fp32 + cost.integer + cost.special + cost.fp64 + cost.exchange + cost.other;
}

KernelWork& KernelWork::operator+=(const KernelWork& other) {
  launches += other.launches;
  blocks += other.blocks;
  add_cost(cost, other.cost, 1);
  global_requests += other.global_requests;
  shared_requests += other.shared_requests;
  sectors += other.sectors;
  least_sectors += other.least_sectors;
  wavefronts += other.wavefronts;
  least_wavefronts += other.least_wavefronts;
  cache_passes += other.cache_passes;
  cache_bytes += other.cache_bytes;
  memory_bytes += other.memory_bytes;
  return *this;
}

std::string short_name(std::string kernel) {
  for (const char* part : {"(anonymous namespace)::", "prospect::", "kernels::", "cuda::", "void "}) {
    erase_all(kernel, part);
  }
  int depth = 0;
  for (size_t i = 0; i < kernel.size(); ++i) {
    if (kernel[i] == '<') ++depth;
    if (kernel[i] == '>') --depth;
    if (kernel[i] == '(' && depth == 0) return kernel.substr(0, i);
  }
  return kernel;
}

void WorkCollector::add(const Launch& launch) {
  const std::string name = short_name(launch.program.kernel);
  const auto threads = static_cast<int>(launch.block.count());
  const auto same = [&](const KernelWork& each) { return each.kernel == name && each.threads == threads; };
  auto found = std::find_if(kernels_.begin(), kernels_.end(), same);
  if (found == kernels_.end()) {
    kernels_.push_back({.kernel = name, .threads = threads});
    found = kernels_.end() - 1;
  }
  found->shared_bytes =
      std::max(found->shared_bytes, static_cast<int>(launch.program.shared_bytes + launch.dynamic_shared));
  *found += work_of(launch);
}

}  // namespace prospect::bench
