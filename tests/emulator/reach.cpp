// Every access to memory passes here.
#include "tests/emulator/reach.h"

#include <fmt/format.h>

#include <algorithm>

#include "tests/emulator/block.h"

namespace prospect::emulator {
namespace {

const char* verb(Access access) {
  return access == Access::Atomic ? "atomic" : writes(access) ? "write" : "read";
}

/// The block whose shared memory an address names.
Block& owner(const Warp& warp, const Instruction& instruction, int lane, Space space, uint64_t address,
             const char* verb) {
  Block& own = *warp.block;
  const auto rank = static_cast<uint32_t>(address) >> kSharedRankShift;
  if (rank == 0 || rank == own.rank + 1) return own;
  if (rank > own.cluster->blocks.size()) {
    warp.fault(instruction, lane,
               fmt::format("shared {} at {:#x}: the cluster has no block {}", verb, address, rank - 1));
  }
  if (space == Space::Shared) {
    warp.fault(instruction, lane,
               fmt::format("shared::cta {} at {:#x}, in block {} of the cluster", verb, address, rank - 1));
  }
  Block& other = *own.cluster->blocks[rank - 1];
  if (other.live_threads() == 0) {
    warp.fault(
        instruction, lane,
        fmt::format("shared {} at {:#x}: block {} of the cluster has exited", verb, address, rank - 1));
  }
  return other;
}

std::byte* reach_shared(Warp& warp, const Instruction& instruction, int lane, Space space, uint64_t address,
                        uint32_t bytes, Access access) {
  const SharedPlace place = find_shared(warp, instruction, lane, space, address, bytes, verb(access));
  if (Checker* checker = warp.block->launch.checker) {
    checker->shared_access(warp, instruction, lane, *place.block, place.offset, bytes, access);
  }
  return place.bytes;
}

std::byte* reach_global(Warp& warp, const Instruction& instruction, int lane, uint64_t address,
                        uint32_t bytes, Access access) {
  std::byte* found = find_global(warp, instruction, lane, address, bytes, verb(access));
  if (Checker* checker = warp.block->launch.checker) {
    checker->global_access(warp, instruction, lane, address, bytes, access);
  }
  return found;
}

}  // namespace

SharedPlace find_shared(const Warp& warp, const Instruction& instruction, int lane, Space space,
                        uint64_t address, uint32_t bytes, const char* verb) {
  Block& block = owner(warp, instruction, lane, space, address, verb);
  const Program& program = block.launch.program;
  const uint32_t offset = (static_cast<uint32_t>(address) & ((1u << kSharedRankShift) - 1)) - kSharedBase;
  const auto inside = [&](const SharedArray& array) {
    return offset >= array.offset && uint64_t{offset} + bytes <= uint64_t{array.offset} + array.bytes;
  };
  if (!inside({program.shared_bytes, block.launch.dynamic_shared}) &&
      !std::any_of(program.shared.begin(), program.shared.end(), inside)) {
    warp.fault(instruction, lane,
               fmt::format("shared {} out of bounds: {} bytes at {:#x}", verb, bytes, address));
  }
  return {&block, offset, block.shared.data() + offset};
}

std::byte* find_global(const Warp& warp, const Instruction& instruction, int lane, uint64_t address,
                       uint32_t bytes, const char* verb) {
  DeviceMemory& memory = warp.block->launch.memory;
  const Allocation* found = memory.holds(address) ? memory.find(address) : nullptr;
  if (found == nullptr) {
    warp.fault(instruction, lane,
               fmt::format("global {} of what is no device memory: {} bytes at {:#x}", verb, bytes, address));
  }
  const uint64_t offset = address - found->base;
  if (offset + bytes > found->bytes) {
    warp.fault(instruction, lane,
               fmt::format("global {} out of bounds: {} bytes at {:#x}, {} behind the start of {} bytes",
                           verb, bytes, address, offset, found->bytes));
  }
  if (!found->live) {
    warp.fault(instruction, lane,
               fmt::format("global {} after cudaFree: {} bytes at {:#x}", verb, bytes, address));
  }
  return reinterpret_cast<std::byte*>(address);
}

std::byte* Warp::reach(const Instruction& instruction, int lane, Space space, uint64_t address,
                       uint32_t bytes, Access access) {
  if (address % bytes != 0) {
    fault(instruction, lane, fmt::format("misaligned {}: {} bytes at {:#x}", verb(access), bytes, address));
  }
  if (space == Space::Generic) {
    space = address >= kParamWindow    ? Space::Param
            : address >= kLocalWindow  ? Space::Local
            : address >= kSharedWindow ? Space::SharedCluster
                                       : Space::Global;
    if (space == Space::SharedCluster) address -= kSharedWindow;
  }
  switch (space) {
    case Space::Shared:
    case Space::SharedCluster:
      return reach_shared(*this, instruction, lane, space, address, bytes, access);
    case Space::Global:
      return reach_global(*this, instruction, lane, address, bytes, access);
    case Space::Local: {
      const uint64_t offset = address - kLocalWindow, size = block->launch.program.local_bytes;
      if (offset + bytes > size)
        fault(instruction, lane, fmt::format("local {} out of bounds", verb(access)));
      return local.data() + size * static_cast<size_t>(lane) + offset;
    }
    default: {
      const uint64_t offset = address - kParamWindow;
      if (offset + bytes > block->launch.parameters.size() || writes(access)) {
        fault(instruction, lane, fmt::format("{} of parameters out of bounds", verb(access)));
      }
      return block->launch.parameters.data() + offset;
    }
  }
}

}  // namespace prospect::emulator
