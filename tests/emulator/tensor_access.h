#pragma once

#include "tests/emulator/engine_copy.h"
#include "tests/emulator/program.h"
#include "tests/emulator/swizzle.h"

namespace prospect::emulator {

/// The tensor map at a generic address (of a parameter, or in global memory). Throws Fault.
TensorMap read_tensor_map(const Asking& asking, uint64_t address, int rank);
/// Throws Fault unless a tile may begin there.
void check_tile_address(const Asking& asking, uint64_t shared_address);
/// Throws Fault unless both addresses and the size are multiples of 16.
void check_bulk_addresses(const Asking& asking, uint64_t to, uint64_t from, uint32_t bytes);

/// The offset in shared memory of a piece of a tile that begins at offset `tile`.
constexpr uint32_t tile_offset(uint32_t tile, uint32_t piece, uint32_t width) {
  return swizzle(kSharedBase + tile + piece, width) - kSharedBase;
}

}  // namespace prospect::emulator
