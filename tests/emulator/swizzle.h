#pragma once

#include <cstdint>

namespace prospect::emulator {

/// Where hardware puts a byte of a tile whose rows are `width` bytes: bits 4 to 6 of the address are combined
/// with bits 7 to 9, as many as the width has. Widths: 128, 64, 32, 16 (as it is).
constexpr uint32_t swizzle(uint32_t address, uint32_t width) {
  return address ^ ((address >> 7 & (width / 16 - 1)) << 4);
}

}  // namespace prospect::emulator
