#pragma once

#include <map>
#include <vector>

#include "tests/emulator/warp.h"

namespace prospect::emulator {

/// What a memory instruction asked of the hardware, over a launch. Global memory moves sectors of 32 bytes;
/// shared memory answers in wavefronts, of which a bank gives one word each.
struct RequestCounts {
  uint64_t requests = 0;  ///< executions by a warp
  uint64_t lanes = 0;
  uint64_t units = 0;  ///< sectors or wavefronts
  uint64_t least = 0;  ///< as many as the same bytes need when they lie side by side; of shared memory, when
                       ///< no two lanes meet in a bank
  RequestCounts& operator+=(const RequestCounts& other);
};
/// cp.async asks of both.
struct InstructionRequests {
  RequestCounts global, shared;
};

inline constexpr uint64_t kSectorBytes = 32;

/// Reads or writes of an allocation.
struct ArrayUse {
  uint64_t allocation;  ///< its start
  bool is_written;
  auto operator<=>(const ArrayUse&) const = default;
};
/// The sectors that one block asked for, as often as it asked.
using Footprint = std::map<ArrayUse, std::vector<uint64_t>>;

/// Sectors of each array, summed over blocks.
struct Traffic {
  struct Sectors {
    uint64_t requested = 0;
    uint64_t distinct = 0;  ///< each once for each block that asked for it
  };
  std::map<ArrayUse, Sectors> uses;
  /// Adds what a block did, and empties it.
  void add(Footprint& footprint);
};

/// Counts one execution, where the launch asks for it. `bytes`: of one lane's access.
void count_request(Warp& warp, const Instruction& instruction, LaneMask lanes, Space space,
                   const Operand& address, uint32_t bytes, Access access);

}  // namespace prospect::emulator
