#include "tests/emulator/step.h"

namespace prospect::emulator {
namespace {

void place(Warp& warp, LaneMask lanes, uint32_t pc) {
  for (; lanes != 0; lanes &= lanes - 1) warp.pc[static_cast<size_t>(std::countr_zero(lanes))] = pc;
}

}  // namespace

void step(Warp& warp, LaneMask group, uint32_t meet, uint64_t budget) {
  Launch& launch = warp.block->launch;
  const Instruction* code = launch.program.code.data();
  const uint32_t end = static_cast<uint32_t>(launch.program.code.size());
  uint32_t pc = warp.pc[static_cast<size_t>(std::countr_zero(group))];
  uint64_t steps = 0;
  for (; steps < budget && pc < meet && pc < end; ++steps) {
    const Instruction& instruction = code[pc];
    LaneMask lanes = group;
    if (instruction.guard >= 0) {
      const Operand guard{instruction.guard, 1, instruction.guard_negated};
      lanes &= warp.predicate(guard);
    }
    ++launch.executed[pc].warps;
    launch.executed[pc].lanes += static_cast<uint64_t>(std::popcount(lanes));
    if (lanes == 0) {
      ++pc;
      continue;
    }
    if (warp.registers != nullptr && !instruction.is_wgmma) {
      const std::string reason = warp.registers->other(instruction);
      if (!reason.empty()) warp.fault(instruction, std::countr_zero(lanes), reason);
    }
    const Flow flow = instruction.op->flow;
    if (flow == Flow::Next) {
      instruction.op->run(warp, instruction, lanes);
      ++pc;
    } else if (flow == Flow::Poll) {
      instruction.op->run(warp, instruction, lanes);
      ++pc;
      if (warp.poll.times >= Warp::kVainPolls) {
        place(warp, group, pc);
        launch.warp_steps += steps + 1;
        return;
      }
    } else if (flow == Flow::Branch) {
      if (lanes != group) {
        place(warp, lanes, instruction.target);
        place(warp, group & ~lanes, pc + 1);
        launch.warp_steps += steps + 1;
        return;
      }
      pc = instruction.target;
    } else if (flow == Flow::Exit) {
      warp.ready &= ~lanes;
      group &= ~lanes;
      instruction.op->run(warp, instruction, lanes);
      if (group == 0) {
        launch.warp_steps += steps + 1;
        return;
      }
      ++pc;
    } else {
      const LaneMask ready = warp.ready;
      place(warp, lanes, pc);
      place(warp, group & ~lanes, pc + 1);
      warp.ready &= ~lanes;
      instruction.op->run(warp, instruction, lanes);
      if (lanes != group || warp.ready != ready) {
        launch.warp_steps += steps + 1;
        return;
      }
      ++pc;  // what they waited for was there already
    }
  }
  launch.warp_steps += steps;
  if (pc >= end) {  // a kernel may end without ret
    warp.ready &= ~group;
    warp.block->note_exit();
  } else {
    place(warp, group, pc);
  }
}

}  // namespace prospect::emulator
