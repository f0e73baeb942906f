#include "tests/emulator/cluster.h"

#include <bit>
#include <utility>

#include "tests/emulator/block.h"

namespace prospect::emulator {

void Cluster::arrive(Warp& warp, const Instruction& instruction, LaneMask lanes, bool releases) {
  for (LaneMask left = lanes; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    uint64_t& phase = warp.cluster_phase[static_cast<size_t>(lane)];
    if (phase != 0) warp.fault(instruction, lane, "arrives twice at the cluster's barrier without a wait");
    phase = phases + 1;
  }
  arrived += std::popcount(lanes);
  Checker* checker = warp.block->launch.checker;
  if (checker != nullptr && releases) checker->release(warp, lanes, arrivals);
  settle();
}

void Cluster::wait(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  while (lanes != 0) {
    const int first = std::countr_zero(lanes);
    const uint64_t phase = warp.cluster_phase[static_cast<size_t>(first)];
    if (phase == 0) warp.fault(instruction, first, "waits at the cluster's barrier without having arrived");
    LaneMask together = 0;
    for (LaneMask left = lanes; left != 0; left &= left - 1) {
      const int lane = std::countr_zero(left);
      if (warp.cluster_phase[static_cast<size_t>(lane)] == phase) together |= 1u << lane;
    }
    lanes &= ~together;
    warp.at_event |= together;
    waiting.push_back({&warp, together, phase});
  }
  settle();
}

void Cluster::settle() {
  int live = 0;
  for (const Block* block : blocks) live += block->live_threads();
  if (arrived > 0 && arrived >= live) {
    ++phases;
    arrived = 0;
    complete.join(std::exchange(arrivals, {}));
    ++blocks[0]->launch.progress;
  }
  std::vector<Waiting> still;
  for (const Waiting& each : std::exchange(waiting, {})) {
    if (each.phase > phases) {
      still.push_back(each);
      continue;
    }
    for (LaneMask left = each.lanes; left != 0; left &= left - 1) {
      each.warp->cluster_phase[static_cast<size_t>(std::countr_zero(left))] = 0;
    }
    each.warp->resume(each.lanes);
    if (Checker* checker = each.warp->block->launch.checker)
      checker->acquire(*each.warp, each.lanes, complete);
  }
  waiting = std::move(still);
}

}  // namespace prospect::emulator
