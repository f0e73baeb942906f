#pragma once

#include <map>
#include <string>
#include <vector>

#include "bench/cards/instruction_cost.h"
#include "tests/emulator/block.h"

namespace prospect::bench {

/// What a kernel does in a case, over its launches, scaled up from the blocks that ran.
struct KernelWork {
  std::string kernel;  ///< short_name()
  int launches = 0;
  double blocks = 0;  ///< of all launches
  int threads = 0;
  int shared_bytes = 0;       ///< of a block
  InstructionCost cost = {};  ///< of all warps
  double global_requests = 0, shared_requests = 0;
  double sectors = 0, least_sectors = 0;        ///< of global memory, as threads ask for them
  double wavefronts = 0, least_wavefronts = 0;  ///< of shared memory
  /// Passes of loads and stores through the first-level cache. Asynchronous copies make theirs as wavefronts.
  double cache_passes = 0;
  double cache_bytes = 0;   ///< moved between the second-level cache and multiprocessors
  double memory_bytes = 0;  ///< moved to and from device memory

  double instructions() const;
  /// Sums counts; the kernel, its threads and shared memory stay.
  KernelWork& operator+=(const KernelWork& other);
};

/// "layernorm_forward_kernel<bf16, true>": the demangled name without its namespaces and parameters.
std::string short_name(std::string kernel);

/// Collects launches of the emulated device.
class WorkCollector {
 public:
  void add(const emulator::Launch& launch);
  /// In the order in which kernels were first launched, each kernel once for each size of block.
  const std::vector<KernelWork>& kernels() const { return kernels_; }

 private:
  std::vector<KernelWork> kernels_;
};

}  // namespace prospect::bench
