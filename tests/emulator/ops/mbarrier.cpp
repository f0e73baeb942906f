// Barriers in shared memory.
#include <fmt/format.h>

#include "tests/emulator/block.h"
#include "tests/emulator/op_table.h"
#include "tests/emulator/reach.h"

namespace prospect::emulator {
namespace {

uint64_t address_of(Warp& warp, const Operand& operand, int lane) {
  return warp.read(operand, lane) + static_cast<uint64_t>(operand.offset);
}

/// An operand of 32 bits, or `otherwise` where the instruction has none.
uint32_t word(Warp& warp, const Instruction& instruction, size_t operand, int lane, uint32_t otherwise) {
  if (operand >= instruction.operands.size()) return otherwise;
  return static_cast<uint32_t>(warp.read(instruction.operands[operand], lane));
}

Mbarrier& reach_barrier(Warp& warp, const Instruction& instruction, size_t operand, int lane, Access access) {
  const uint64_t address = address_of(warp, instruction.operands[operand], lane);
  Mbarrier& barrier = find_mbarrier(warp, instruction, lane, instruction.space, address);
  if (Checker* checker = warp.block->launch.checker) {
    const uint32_t offset = (static_cast<uint32_t>(address) & ((1u << kSharedRankShift) - 1)) - kSharedBase;
    checker->mbarrier_access(warp, instruction, lane, *barrier.block, offset, access);
  }
  return barrier;
}

/// mbarrier.init [address], count
void initialise(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  constexpr uint32_t kMostThreads = (1 << 20) - 1;
  Block& block = *warp.block;
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    const uint64_t address = address_of(warp, instruction.operands[0], lane);
    const uint32_t count = word(warp, instruction, 1, lane, 0);
    const std::byte* bytes = warp.reach(instruction, lane, instruction.space, address, 8, Access::Write);
    const auto offset = static_cast<uint32_t>(bytes - block.shared.data());
    if (count == 0 || count > kMostThreads) {
      warp.fault(instruction, lane, fmt::format("an mbarrier of {} arrivals", count));
    }
    Mbarrier& barrier = block.mbarriers[offset];
    if (barrier.block != nullptr) warp.fault(instruction, lane, "the mbarrier is initialised already");
    barrier.block = &block;
    barrier.expected = barrier.pending = count;
    barrier.initialiser = &warp;
    if (Checker* checker = block.launch.checker) barrier.engine = checker->add_engine(block);
  }
}

void invalidate(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    const Mbarrier& barrier = reach_barrier(warp, instruction, 0, lane, Access::Write);
    if (!barrier.waiting.empty()) warp.fault(instruction, lane, "threads wait at the mbarrier");
    for (auto each = warp.block->mbarriers.begin(); each != warp.block->mbarriers.end(); ++each) {
      if (&each->second != &barrier) continue;
      warp.block->mbarriers.erase(each);
      break;
    }
  }
}

enum Arrive { kArrive = 1, kExpect = 2, kDrop = 4, kComplete = 8 };

/// [state,] [address] {, count or bytes}. variant: what is done. The state is the number of the phase.
void arrive(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const int what = instruction.op->variant;
  const size_t address = (what & kArrive) != 0 ? 1 : 0;
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    Mbarrier& barrier = reach_barrier(warp, instruction, address, lane, Access::Atomic);
    const uint32_t number = word(warp, instruction, address + 1, lane, 1);
    const bool expects = (what & kExpect) != 0, completes = (what & kComplete) != 0;
    const uint32_t count = (what & kArrive) == 0 ? 0 : expects ? 1 : number;
    if ((what & kArrive) != 0 && instruction.operands[0].slot != 0) {
      warp.write(instruction.operands[0], lane, barrier.phases);
    }
    Checker* checker = warp.block->launch.checker;
    const bool releases = instruction.op->spelling.find(".relaxed") == std::string::npos;
    if (checker != nullptr && count > 0 && releases) checker->release(warp, 1u << lane, barrier.arrivals);
    if ((what & kDrop) != 0) barrier.expected -= std::min(barrier.expected, count);
    update(barrier, warp, instruction, lane, count, expects ? number : completes ? -int64_t{number} : 0);
  }
}

enum Wait { kTry = 1, kParity = 2 };

/// predicate, [address], state or parity {, how long}
void wait(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const int variant = instruction.op->variant;
  uint64_t found = 0;
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    Mbarrier& barrier = reach_barrier(warp, instruction, 1, lane, Access::StrongRead);
    if (barrier.block != warp.block) warp.fault(instruction, lane, "waits at an mbarrier of another block");
    const auto which = static_cast<uint32_t>(warp.read(instruction.operands[2], lane) & 1);
    if ((variant & kTry) != 0) {
      await(barrier, warp, instruction, lane, which);
      continue;
    }
    const bool is_complete = barrier.is_complete(which);
    warp.write(instruction.operands[0], lane, is_complete);
    found = found * 2 + (is_complete ? 1 : 0);
    Checker* checker = warp.block->launch.checker;
    if (is_complete && checker != nullptr) checker->acquire(warp, 1u << lane, barrier.complete);
  }
  if ((variant & kTry) == 0) warp.note_poll(instruction, found);
}

/// fence.mbarrier_init: copies may use the barriers that the warp has initialised.
void fence_barriers(Warp& warp, const Instruction&, LaneMask) {
  for (auto& [offset, barrier] : warp.block->mbarriers) {
    barrier.is_fenced = barrier.is_fenced || barrier.initialiser == &warp;
  }
}

/// fence.proxy.async. variant: bit 0 shared memory, bit 1 global memory.
void fence_proxy(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const int variant = instruction.op->variant;
  if ((variant & 1) != 0) fence_barriers(warp, instruction, lanes);
  Checker* checker = warp.block->launch.checker;
  if (checker == nullptr) return;
  if ((variant & 1) != 0) checker->proxy_fence(warp, lanes, Memory::Shared);
  if ((variant & 2) != 0) checker->proxy_fence(warp, lanes, Memory::Global);
}

}  // namespace

void add_mbarrier_ops(OpTable& table) {
  const std::string own = "{,.shared,.shared::cta}.b64", any = "{,.shared,.shared::cta,.shared::cluster}.b64";
  const std::string order = "{,.release.cta,.release.cluster,.relaxed.cta,.relaxed.cluster}";
  table.add("mbarrier.init" + own, "aw", initialise);
  table.add("mbarrier.inval" + own, "a", invalidate);
  table.add("mbarrier.arrive" + order + any, "Da?w", arrive, Flow::Next, kArrive);
  table.add("mbarrier.arrive.expect_tx" + order + any, "Daw", arrive, Flow::Next, kArrive | kExpect);
  table.add("mbarrier.arrive_drop" + order + any, "Da?w", arrive, Flow::Next, kArrive | kDrop);
  table.add("mbarrier.expect_tx.relaxed.{cta,cluster}" + any, "aw", arrive, Flow::Next, kExpect);
  table.add("mbarrier.complete_tx.relaxed.{cta,cluster}" + any, "aw", arrive, Flow::Next, kComplete);
  const std::string acquire = "{,.acquire.cta,.acquire.cluster,.relaxed.cta,.relaxed.cluster}";
  table.add("mbarrier.test_wait" + acquire + own, "Pad", wait, Flow::Poll);
  table.add("mbarrier.test_wait.parity" + acquire + own, "Paw", wait, Flow::Poll, kParity);
  table.add("mbarrier.try_wait" + acquire + own, "Pad?w", wait, Flow::Wait, kTry);
  table.add("mbarrier.try_wait.parity" + acquire + own, "Paw?w", wait, Flow::Wait, kTry | kParity);
  table.add("fence.mbarrier_init.release.cluster", "", fence_barriers);
  table.add("fence.proxy.async", "", fence_proxy, Flow::Next, 3);
  table.add("fence.proxy.async.{shared::cta,shared::cluster}", "", fence_proxy, Flow::Next, 1);
  table.add("fence.proxy.async.global", "", fence_proxy, Flow::Next, 2);
}

}  // namespace prospect::emulator
