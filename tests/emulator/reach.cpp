// Every access to memory passes here.
#include <fmt/format.h>

#include <algorithm>

#include "tests/emulator/block.h"

namespace prospect::emulator {
namespace {

const char* verb(Access access) {
  return access == Access::Atomic ? "atomic" : writes(access) ? "write" : "read";
}

std::byte* reach_shared(Warp& warp, const Instruction& instruction, int lane, uint64_t address,
                        uint32_t bytes, Access access) {
  Block& block = *warp.block;
  const Program& program = block.launch.program;
  const uint64_t offset = address - kSharedBase;
  const auto inside = [&](const SharedArray& array) {
    return offset >= array.offset && offset + bytes <= uint64_t{array.offset} + array.bytes;
  };
  if (!inside({program.shared_bytes, block.launch.dynamic_shared}) &&
      !std::any_of(program.shared.begin(), program.shared.end(), inside)) {
    warp.fault(instruction, lane,
               fmt::format("shared {} out of bounds: {} bytes at {:#x}", verb(access), bytes, address));
  }
  if (block.launch.checker != nullptr) {
    block.launch.checker->shared_access(warp, instruction, lane, offset, bytes, access);
  }
  return block.shared.data() + offset;
}

std::byte* reach_global(Warp& warp, const Instruction& instruction, int lane, uint64_t address,
                        uint32_t bytes, Access access) {
  DeviceMemory& memory = warp.block->launch.memory;
  const Allocation* found = memory.holds(address) ? memory.find(address) : nullptr;
  if (found == nullptr) {
    warp.fault(instruction, lane,
               fmt::format("global {} of what is no device memory: {} bytes at {:#x}", verb(access), bytes,
                           address));
  }
  const uint64_t offset = address - found->base;
  if (offset + bytes > found->bytes) {
    warp.fault(instruction, lane,
               fmt::format("global {} out of bounds: {} bytes at {:#x}, {} behind the start of {} bytes",
                           verb(access), bytes, address, offset, found->bytes));
  }
  if (!found->live) {
    warp.fault(instruction, lane,
               fmt::format("global {} after cudaFree: {} bytes at {:#x}", verb(access), bytes, address));
  }
  if (Checker* checker = warp.block->launch.checker) {
    checker->global_access(warp, instruction, lane, address, bytes, access);
  }
  return reinterpret_cast<std::byte*>(address);
}

}  // namespace

std::byte* Warp::reach(const Instruction& instruction, int lane, Space space, uint64_t address,
                       uint32_t bytes, Access access) {
  if (address % bytes != 0) {
    fault(instruction, lane, fmt::format("misaligned {}: {} bytes at {:#x}", verb(access), bytes, address));
  }
  if (space == Space::Generic) {
    space = address >= kParamWindow    ? Space::Param
            : address >= kLocalWindow  ? Space::Local
            : address >= kSharedWindow ? Space::Shared
                                       : Space::Global;
    if (space == Space::Shared) address -= kSharedWindow;
  }
  switch (space) {
    case Space::Shared:
      return reach_shared(*this, instruction, lane, address, bytes, access);
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
