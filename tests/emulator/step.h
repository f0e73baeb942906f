#pragma once

#include "tests/emulator/block.h"

namespace prospect::emulator {

/// Steps lanes of a warp that stand at one instruction, until they stop, part, reach an instruction at or
/// behind `meet`, or have made `budget` steps. Requires: all of `group` is ready.
void step(Warp& warp, LaneMask group, uint32_t meet, uint64_t budget);

}  // namespace prospect::emulator
