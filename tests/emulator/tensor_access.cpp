#include "tests/emulator/tensor_access.h"

#include <fmt/format.h>

#include <cstring>

#include "tests/emulator/block.h"

namespace prospect::emulator {

TensorMap read_tensor_map(const Asking& asking, uint64_t address, int rank) {
  auto& [warp, instruction, lane] = asking;
  constexpr uint32_t kAlign = 64;
  if (address % kAlign != 0) {
    warp.fault(instruction, lane, fmt::format("a tensor map at {:#x}, no multiple of {}", address, kAlign));
  }
  const std::byte* bytes = warp.reach(instruction, lane, Space::Generic, address, kAlign, Access::Read);
  warp.reach(instruction, lane, Space::Generic, address + kAlign, kAlign, Access::Read);
  TensorMap map;
  std::memcpy(&map, bytes, sizeof(map));
  if (map.magic != TensorMap::kMagic)
    warp.fault(instruction, lane, "what the address names is no tensor map");
  if (map.rank != rank) {
    warp.fault(instruction, lane, fmt::format("a tensor map of {} dimensions", map.rank));
  }
  return map;
}

void check_tile_address(const Asking& asking, uint64_t shared_address) {
  constexpr uint32_t kAlign = 128;
  if (shared_address % kAlign == 0) return;
  asking.warp.fault(asking.instruction, asking.lane,
                    fmt::format("a tile at shared {:#x}, no multiple of {}", shared_address, kAlign));
}

void check_bulk_addresses(const Asking& asking, uint64_t to, uint64_t from, uint32_t bytes) {
  if (to % 16 == 0 && from % 16 == 0 && bytes % 16 == 0) return;
  asking.warp.fault(
      asking.instruction, asking.lane,
      fmt::format("{} bytes from {:#x} to {:#x}: not all are multiples of 16", bytes, from, to));
}

}  // namespace prospect::emulator
