#pragma once

#include "tests/emulator/block.h"

namespace prospect::emulator {

/// Runs all blocks of a launch. Throws Fault.
void run(Launch& launch);

}  // namespace prospect::emulator
