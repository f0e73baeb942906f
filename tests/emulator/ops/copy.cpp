// cp.async: copies from global to shared memory that happen as late as they may, when the thread waits for
// their group, so that a missing wait reads what was there before.
#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "tests/emulator/block.h"
#include "tests/emulator/op_table.h"

namespace prospect::emulator {
namespace {

/// cp.async [shared], [global], bytes {, bytes from global: the rest becomes zeros}
void announce(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto each = static_cast<uint32_t>(warp.read(instruction.operands[2], std::countr_zero(lanes)));
  count_request(warp, instruction, lanes, Space::Global, instruction.operands[1], each, Access::Read);
  count_request(warp, instruction, lanes, Space::Shared, instruction.operands[0], each, Access::Write);
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    const auto value = [&](size_t i) {
      const Operand& operand = instruction.operands[i];
      return warp.read(operand, lane) + static_cast<uint64_t>(operand.offset);
    };
    const auto bytes = static_cast<uint32_t>(value(2));
    const auto given = instruction.operands.size() > 3 ? static_cast<uint32_t>(value(3)) : bytes;
    if ((bytes != 4 && bytes != 8 && bytes != 16) || given > bytes) {
      warp.fault(instruction, lane, fmt::format("cp.async of {} bytes, {} of them given", bytes, given));
    }
    std::byte* to = warp.reach(instruction, lane, Space::Shared, value(0), bytes, Access::Write);
    if (value(1) % bytes != 0)
      warp.fault(instruction, lane, fmt::format("misaligned read at {:#x}", value(1)));
    const std::byte* from = nullptr;
    const uint32_t step = std::has_single_bit(given) ? given : 1;  // else nothing is aligned to it
    for (uint32_t i = 0; i < given; i += step) {
      const std::byte* some = warp.reach(instruction, lane, Space::Global, value(1) + i, step, Access::Read);
      if (i == 0) from = some;
    }
    if (Checker* checker = warp.block->launch.checker) {
      checker->note_copy(warp, static_cast<uint64_t>(to - warp.block->shared.data()), bytes, true);
    }
    warp.copies[static_cast<size_t>(lane)].open.push_back({to, from, given, bytes - given});
  }
}

void commit(Warp& warp, const Instruction&, LaneMask lanes) {
  for (; lanes != 0; lanes &= lanes - 1) {
    CopyQueue& queue = warp.copies[static_cast<size_t>(std::countr_zero(lanes))];
    queue.groups.push_back(std::move(queue.open));
    queue.open.clear();
  }
}

/// The copies write now: for the checker that counts beside the moment at which they were announced.
void finish(Warp& warp, const Instruction& instruction, int lane, uint64_t groups_left) {
  CopyQueue& queue = warp.copies[static_cast<size_t>(lane)];
  for (; queue.groups.size() > groups_left; queue.groups.pop_front()) {
    for (const PendingCopy& copy : queue.groups.front()) {
      if (Checker* checker = warp.block->launch.checker) {
        const auto offset = static_cast<uint64_t>(copy.to - warp.block->shared.data());
        checker->shared_access(warp, instruction, lane, *warp.block, static_cast<uint32_t>(offset),
                               copy.bytes + copy.zeros, Access::Write);
        checker->note_copy(warp, offset, copy.bytes + copy.zeros, false);
      }
      if (copy.bytes > 0) std::memcpy(copy.to, copy.from, copy.bytes);
      std::memset(copy.to + copy.bytes, 0, copy.zeros);
    }
  }
}

void wait_group(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    finish(warp, instruction, lane, warp.read(instruction.operands[0], lane));
  }
}

void wait_all(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  commit(warp, instruction, lanes);
  for (; lanes != 0; lanes &= lanes - 1) finish(warp, instruction, std::countr_zero(lanes), 0);
}

}  // namespace

void add_copy_ops(OpTable& table) {
  table.add("cp.async.{ca,cg}.shared{,::cta}.global{,.L2::64B,.L2::128B,.L2::256B}", "aaw?w", announce);
  table.add("cp.async.commit_group", "", commit);
  table.add("cp.async.wait_group", "w", wait_group);
  table.add("cp.async.wait_all", "", wait_all);
}

}  // namespace prospect::emulator
