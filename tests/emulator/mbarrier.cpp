#include "tests/emulator/mbarrier.h"

#include <fmt/format.h>

#include <utility>

#include "tests/emulator/block.h"
#include "tests/emulator/reach.h"

namespace prospect::emulator {
namespace {

void tell(const Mbarrier::Waiting& waiting, bool is_complete) {
  waiting.warp->write(waiting.instruction->operands[0], waiting.lane, is_complete);
  waiting.warp->resume(1u << waiting.lane);
}

void acquire(const Mbarrier& barrier, Warp& warp, int lane) {
  if (Checker* checker = warp.block->launch.checker) checker->acquire(warp, 1u << lane, barrier.complete);
}

}  // namespace

bool Mbarrier::expire() {
  const auto late = std::exchange(waiting, {});
  for (const Waiting& each : late) tell(each, false);
  return !late.empty();
}

Mbarrier& find_mbarrier(Warp& warp, const Instruction& instruction, int lane, Space space, uint64_t address) {
  if (space == Space::Generic) {
    if (address < kSharedWindow || address >= kLocalWindow) {
      warp.fault(instruction, lane, fmt::format("an mbarrier at {:#x}: no shared memory", address));
    }
    space = Space::SharedCluster;
    address -= kSharedWindow;
  }
  const SharedPlace place = find_shared(warp, instruction, lane, space, address, 8, "mbarrier");
  const auto found = place.block->mbarriers.find(place.offset);
  if (found == place.block->mbarriers.end()) {
    warp.fault(instruction, lane, fmt::format("no mbarrier was initialised at shared {:#x}", address));
  }
  return found->second;
}

void update(Mbarrier& barrier, const Warp& warp, const Instruction& instruction, int lane, uint32_t count,
            int64_t bytes) {
  constexpr int64_t kMostBytes = (1 << 20) - 1;
  if (count > barrier.pending) {
    warp.fault(instruction, lane,
               fmt::format("{} arrivals at an mbarrier that expects {} more", count, barrier.pending));
  }
  barrier.pending -= count;
  barrier.bytes += bytes;
  if (barrier.bytes > kMostBytes || barrier.bytes < -kMostBytes) {
    warp.fault(instruction, lane, fmt::format("an mbarrier that expects {} bytes", barrier.bytes));
  }
  ++barrier.block->launch.progress;
  if (barrier.pending > 0 || barrier.bytes != 0) return;
  ++barrier.phases;
  barrier.pending = barrier.expected;
  barrier.complete.join(std::exchange(barrier.arrivals, {}));
  if (warp.block->launch.checker != nullptr) {  // what its copies wrote is visible to those that wait
    barrier.complete.set(barrier.block->shadow->id, barrier.engine, static_cast<uint32_t>(barrier.phases));
  }
  for (const Mbarrier::Waiting& each : std::exchange(barrier.waiting, {})) {
    if (!barrier.is_complete(each.parity)) {
      barrier.waiting.push_back(each);
      continue;
    }
    tell(each, true);
    acquire(barrier, *each.warp, each.lane);
  }
}

void await(Mbarrier& barrier, Warp& warp, const Instruction& instruction, int lane, uint32_t parity) {
  warp.at_event |= 1u << lane;
  const Mbarrier::Waiting waiting{&warp, lane, &instruction, parity};
  if (!barrier.is_complete(parity)) {
    barrier.waiting.push_back(waiting);
    return;
  }
  tell(waiting, true);
  acquire(barrier, warp, lane);
}

}  // namespace prospect::emulator
