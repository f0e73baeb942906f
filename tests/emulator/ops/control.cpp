// Jumps, ends, fences and block barriers.
#include <fmt/format.h>

#include <algorithm>

#include "tests/emulator/block.h"
#include "tests/emulator/op_table.h"

namespace prospect::emulator {
namespace {

void nothing(Warp&, const Instruction&, LaneMask) {}

void leave(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  for (LaneMask left = lanes; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    const CopyQueue& copies = warp.copies[static_cast<size_t>(lane)];
    const bool pending =
        !copies.open.empty() || std::any_of(copies.groups.begin(), copies.groups.end(),
                                            [](const auto& group) { return !group.empty(); });
    if (pending) warp.fault(instruction, lane, "exits with cp.async copies in flight");
    const auto bulk = warp.bulk.find(lane);
    if (bulk != warp.bulk.end() && bulk->second.reads()) {
      warp.fault(instruction, lane, "exits while bulk copies still read shared memory");
    }
  }
  if (warp.block->live_threads() == 0) {
    const int last = std::countr_zero(lanes);
    if (warp.block->incoming_copies > 0) {
      warp.fault(instruction, last, "the block ends while copies still write to its shared memory");
    }
    if (const Checker* checker = warp.block->launch.checker) checker->end_block(warp, instruction, last);
  }
  warp.block->note_exit();
}

void trap(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  warp.fault(instruction, std::countr_zero(lanes), "trap");
}

/// Lanes that name the same barrier and number of threads arrive together.
/// bar.sync is for whole warps. Lanes at lower instructions run first, so those that are elsewhere have
/// passed by (with random orders, and behind lanes that spun, that need not be).
void check_convergence(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const Launch& launch = warp.block->launch;
  LaneMask elsewhere = warp.live() & ~lanes;
  for (LaneMask left = warp.at_barrier & elsewhere; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    if (&launch.program.code[warp.pc[static_cast<size_t>(lane)]] == &instruction) elsewhere &= ~(1u << lane);
  }
  if (launch.checker == nullptr || launch.options.order == Order::Random || warp.is_spinning ||
      elsewhere == 0)
    return;
  const int other = std::countr_zero(elsewhere);
  const Instruction& stands = launch.program.code[warp.pc[static_cast<size_t>(other)]];
  warp.fault(instruction, std::countr_zero(lanes),
             fmt::format("diverged barrier: lanes {:#010x} come without lanes {:#010x} of their warp, at {}",
                         lanes, elsewhere, launch.program.where(stands)));
}

template <bool waits>
void barrier(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto value = [&](size_t operand, int lane) {
    if (operand >= instruction.operands.size()) return Barrier::kEveryThread;
    return static_cast<int>(warp.read(instruction.operands[operand], lane));
  };
  if (instruction.op->spelling != "barrier.sync") check_convergence(warp, instruction, lanes);
  while (lanes != 0) {
    const int first = std::countr_zero(lanes);
    const int id = value(0, first), expected = value(1, first);
    LaneMask together = 0;
    for (LaneMask left = lanes; left != 0; left &= left - 1) {
      const int lane = std::countr_zero(left);
      if (value(0, lane) == id && value(1, lane) == expected) together |= 1u << lane;
    }
    lanes &= ~together;
    warp.block->arrive(warp, instruction, together, id, expected, waits);
  }
}

void fence(Warp& warp, const Instruction&, LaneMask lanes) {
  if (Checker* checker = warp.block->launch.checker) checker->fence(warp, lanes);
}

}  // namespace

void add_control_ops(OpTable& table) {
  table.add("bra{,.uni}", "t", nothing, Flow::Branch);
  table.add("{ret,exit}", "", leave, Flow::Exit);
  table.add("trap", "", trap);
  table.add("{bar.sync,barrier.sync,barrier.sync.aligned,bar.cta.sync}", "w?w", barrier<true>, Flow::Wait);
  table.add("{bar.arrive,barrier.arrive,barrier.arrive.aligned}", "ww", barrier<false>);
  // Execution is sequentially consistent: fences are for the checker.
  table.add("membar.cta", "", nothing);
  table.add("membar.{gl,sys}", "", fence);
  table.add("fence.{sc,acq_rel}.cta", "", nothing);
  table.add("fence.{sc,acq_rel}.{gpu,sys,cluster}", "", fence);
  table.add("nanosleep.u32", "w", nothing);
  table.add("prefetch.global.{L1,L2}", "a", nothing);
}

}  // namespace prospect::emulator
