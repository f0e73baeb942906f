#include "tests/emulator/block.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tests/emulator/special.h"

namespace prospect::emulator {
namespace {

void fill_constants(Warp& warp, const Program& program) {
  for (const Constant& constant : program.constants) {
    const Operand operand{constant.slot, constant.bits};
    for (int lane = 0; lane < kLanes; ++lane) warp.write(operand, lane, constant.value);
  }
}

void fill_specials(Warp& warp, const Program& program) {
  for (const auto& [slot, special] : program.specials) {
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      warp.write({slot, 32}, static_cast<int>(lane), special_value(warp, special, lane));
    }
  }
}

}  // namespace

Block::Block(Launch& of)
    : launch(of),
      warps((of.block.count() + kLanes - 1) / kLanes),
      shared(of.program.shared_bytes + of.dynamic_shared) {
  uint64_t threads = launch.block.count();
  for (size_t i = 0; i < warps.size(); ++i, threads -= kLanes) {
    Warp& warp = warps[i];
    warp.block = this;
    warp.index = static_cast<int>(i);
    warp.exists = threads >= kLanes ? kAllLanes : (1u << threads) - 1;
    warp.file.resize(static_cast<size_t>(launch.program.slots));
    warp.local.resize(launch.program.local_bytes * kLanes);
    fill_constants(warp, launch.program);
    if (launch.checker != nullptr && launch.program.has_wgmma) {
      warp.registers = std::make_unique<RegisterUse>(launch.program);
    }
  }
}

void Block::start(uint64_t number) {
  index = number;
  place = launch.grid.place(number);
  std::fill(shared.begin(), shared.end(), std::byte{0xff});
  barriers = {};
  mbarriers.clear();
  warpgroups.clear();
  incoming_copies = 0;
  for (Warp& warp : warps) {
    warp.ready = warp.exists;
    warp.at_barrier = warp.at_meeting = warp.at_event = 0;
    warp.is_spinning = false;
    warp.poll = {};
    warp.pc.fill(0);
    warp.copies = {};
    warp.bulk.clear();
    warp.cluster_phase = {};
    if (warp.registers != nullptr) warp.registers->reset();
    std::fill(warp.local.begin(), warp.local.end(), std::byte{0xff});
    fill_specials(warp, launch.program);
  }
  if (launch.checker != nullptr) launch.checker->begin_block(*this);
}

int Block::live_threads() const {
  int count = 0;
  for (const Warp& warp : warps) count += std::popcount(warp.live());
  return count;
}

void Block::arrive(Warp& warp, const Instruction& instruction, LaneMask lanes, int id, int expected,
                   bool waits) {
  const int lane = std::countr_zero(lanes);
  if (id < 0 || id > 15) warp.fault(instruction, lane, fmt::format("there is no barrier {}", id));
  if (expected != Barrier::kEveryThread && (expected <= 0 || expected % kLanes != 0)) {
    warp.fault(instruction, lane, fmt::format("a barrier of {} threads: no multiple of a warp", expected));
  }
  Barrier& barrier = barriers[static_cast<size_t>(id)];
  if (barrier.arrived == 0) {
    barrier.expected = expected;
    barrier.first = &instruction;
  } else if (barrier.expected != expected) {
    warp.fault(instruction, lane,
               fmt::format("barrier {} is awaited with other numbers of threads: {} here, {} at {}", id,
                           expected, barrier.expected, launch.program.where(*barrier.first)));
  } else if (expected == Barrier::kEveryThread && barrier.first->at.line != instruction.at.line) {
    warp.fault(instruction, lane,
               fmt::format("diverged barrier: other threads of the block wait at {}",
                           launch.program.where(*barrier.first)));
  }
  for (const Barrier::Waiting& other : barrier.waiting) {
    if (other.warp == &warp && other.instruction != &instruction) {
      warp.fault(instruction, lane,
                 fmt::format("diverged barrier: other lanes of the warp wait at {}",
                             launch.program.where(*other.instruction)));
    }
  }
  barrier.arrived += std::popcount(lanes);
  if (launch.checker != nullptr) launch.checker->release(warp, lanes, barrier.history);
  if (waits) {
    warp.at_barrier |= lanes;
    barrier.waiting.push_back({&warp, lanes, &instruction});
  }
  if (barrier.arrived >= (expected == Barrier::kEveryThread ? live_threads() : expected)) release(barrier);
}

void Block::release(Barrier& barrier) {
  const Barrier complete = std::exchange(barrier, {});
  ++launch.progress;
  for (const Barrier::Waiting& each : complete.waiting) {
    each.warp->resume(each.lanes);
    if (launch.checker != nullptr) launch.checker->acquire(*each.warp, each.lanes, complete.history);
  }
}

void Block::note_exit() {
  ++launch.progress;
  cluster->settle();
  for (Barrier& barrier : barriers) {
    if (barrier.arrived > 0 && barrier.expected == Barrier::kEveryThread &&
        barrier.arrived >= live_threads()) {
      release(barrier);
    }
  }
}

}  // namespace prospect::emulator
