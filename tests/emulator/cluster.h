#pragma once

#include <cstdint>
#include <vector>

#include "tests/emulator/history.h"
#include "tests/emulator/warp.h"

namespace prospect::emulator {

/// Blocks that run together and reach each other's shared memory. A block of a launch without clusters is one
/// by itself.
struct Cluster {
  struct Waiting {
    Warp* warp;
    LaneMask lanes;
    uint64_t phase;
  };
  std::vector<Block*> blocks;  ///< by rank
  uint64_t phases = 0;         ///< of the barrier that are complete
  int arrived = 0;             ///< threads, in this phase
  std::vector<Waiting> waiting = {};
  History arrivals = {}, complete = {};

  /// barrier.cluster.arrive. Throws Fault when a lane has arrived already.
  void arrive(Warp& warp, const Instruction& instruction, LaneMask lanes, bool releases);
  /// barrier.cluster.wait: stops lanes until the phase at which they arrived is complete. Throws Fault when
  /// one has not arrived.
  void wait(Warp& warp, const Instruction& instruction, LaneMask lanes);
  /// Lanes have exited, or arrived: the phase may be complete now.
  void settle();
};

}  // namespace prospect::emulator
