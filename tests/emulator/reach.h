#pragma once

#include "tests/emulator/warp.h"

namespace prospect::emulator {

/// A stretch of the shared memory of a block: the warp's own or one of its cluster.
struct SharedPlace {
  Block* block;
  uint32_t offset;
  std::byte* bytes;
};

// Where an address leads, after the checks of bounds. `verb`: what is done there, for the report. Each throws
// Fault.
SharedPlace find_shared(const Warp& warp, const Instruction& instruction, int lane, Space space,
                        uint64_t address, uint32_t bytes, const char* verb);
std::byte* find_global(const Warp& warp, const Instruction& instruction, int lane, uint64_t address,
                       uint32_t bytes, const char* verb);

}  // namespace prospect::emulator
