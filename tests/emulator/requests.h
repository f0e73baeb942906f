#pragma once

#include "tests/emulator/warp.h"

namespace prospect::emulator {

/// What a memory instruction asked of the hardware, over a launch. Global memory moves sectors of 32 bytes;
/// shared memory answers in wavefronts, of which a bank gives one word each.
struct RequestCounts {
  Space space = Space::Generic;
  uint64_t requests = 0;  ///< executions by a warp
  uint64_t lanes = 0;
  uint64_t units = 0;  ///< sectors or wavefronts
  uint64_t least = 0;  ///< as many as the same bytes need when they lie side by side; of shared memory, when
                       ///< no two lanes meet in a bank
};

/// Counts one execution, where the launch asks for it. `bytes`: of one lane's access.
void count_request(Warp& warp, const Instruction& instruction, LaneMask lanes, Space space,
                   const Operand& address, uint32_t bytes);

}  // namespace prospect::emulator
