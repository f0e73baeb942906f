#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>

#include "tests/emulator/agents.h"
#include "tests/emulator/checker.h"
#include "tests/emulator/cluster.h"
#include "tests/emulator/mbarrier.h"
#include "tests/emulator/memory.h"
#include "tests/emulator/options.h"
#include "tests/emulator/requests.h"
#include "tests/emulator/warp.h"
#include "tests/emulator/warpgroup.h"

namespace prospect::emulator {

struct Extent {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t{x} * y * z; }
  Extent place(uint64_t index) const {
    return {static_cast<uint32_t>(index % x), static_cast<uint32_t>(index / x % y),
            static_cast<uint32_t>(index / x / y)};
  }
};

/// One launch of a kernel.
struct Launch {
  const Program& program;
  Extent grid, block;
  uint32_t dynamic_shared = 0;
  std::vector<std::byte> parameters;
  DeviceMemory& memory;
  Options options;
  /// How often each instruction was issued to a warp, and to how many lanes in all.
  struct Executions {
    uint64_t warps = 0, lanes = 0;
  };
  std::vector<Executions> executed = {};
  std::vector<InstructionRequests> requests = {};  ///< of each instruction; empty unless they are counted
  Traffic traffic = {};                            ///< with them
  uint64_t warp_steps = 0, blocks_run = 0;
  Checker* checker = nullptr;
  uint64_t grid_workspace = 0;  ///< of a cooperative launch: device memory, zeros
  Extent cluster{};             ///< blocks of a cluster
  Agents agents{};
  uint64_t progress =
      0;  ///< arrivals, copies and exits: who waits in vain while it stands still waits for ever
};

/// A block's barrier: bar.sync and bar.arrive 0 to 15.
struct Barrier {
  struct Waiting {
    Warp* warp;
    LaneMask lanes;
    const Instruction* instruction;
  };
  static constexpr int kEveryThread = -1;
  int expected = 0;
  int arrived = 0;
  const Instruction* first = nullptr;
  std::vector<Waiting> waiting;
  History history;  ///< what its arrivals have done
};

struct Block {
  Launch& launch;
  uint64_t index = 0;
  Extent place{};
  std::vector<Warp> warps;
  std::vector<std::byte> shared;
  std::array<Barrier, 16> barriers;
  Cluster* cluster = nullptr;
  uint32_t rank = 0;                       ///< in the cluster
  std::map<uint32_t, Mbarrier> mbarriers;  ///< by offset in shared memory
  std::vector<Warpgroup> warpgroups;
  int incoming_copies = 0;  ///< asynchronous ones that have yet to write to its shared memory
  Footprint footprint;
  std::unique_ptr<Checker::BlockShadow> shadow;

  explicit Block(Launch& launch);
  /// Begins block `index` of the grid. Memory of an earlier one is used again, so registers begin with
  /// anything; shared and local memory begin with NaNs.
  void start(uint64_t index);
  int live_threads() const;
  /// The lanes arrive at a barrier; `waits`: they also stop there. Releases all when the last has come.
  void arrive(Warp& warp, const Instruction& instruction, LaneMask lanes, int id, int expected, bool waits);
  /// Lanes have exited: a barrier of every thread may be complete now.
  void note_exit();

 private:
  void release(Barrier& barrier);
};

}  // namespace prospect::emulator
