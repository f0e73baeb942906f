#include "tests/emulator/meeting.h"

#include <fmt/format.h>

#include "tests/emulator/block.h"

namespace prospect::emulator {

void meet(Warp& warp, const Instruction& instruction, LaneMask lanes, const Operand* mask, Together together,
          Behind behind) {
  warp.at_meeting |= lanes;
  const auto mask_of = [&](int lane) {
    return mask == nullptr ? kAllLanes : static_cast<LaneMask>(warp.read(*mask, lane));
  };
  const Program& program = warp.block->launch.program;
  while (lanes != 0) {
    const int lane = std::countr_zero(lanes);
    const LaneMask named = mask_of(lane);
    const LaneMask members = named & warp.exists;
    if ((named >> lane & 1) == 0) {
      warp.fault(instruction, lane, fmt::format("lane {} is not in its own mask {:#010x}", lane, named));
    }
    LaneMask here = 0;
    for (LaneMask left = members; left != 0; left &= left - 1) {
      const int other = std::countr_zero(left);
      if ((warp.live() >> other & 1) == 0) {
        warp.fault(instruction, lane,
                   fmt::format("mask {:#010x} names lane {}, which has exited", named, other));
      }
      if (((warp.at_meeting | warp.at_barrier) >> other & 1) == 0) continue;
      const Instruction& stands = program.code[warp.pc[static_cast<size_t>(other)]];
      if (&stands != &instruction) {
        warp.fault(instruction, lane,
                   fmt::format("diverged warp: lane {} stands at {}", other, program.where(stands)));
      }
      if (mask_of(other) != named) {
        warp.fault(instruction, lane,
                   fmt::format("mask {:#010x} here, {:#010x} in lane {}", named, mask_of(other), other));
      }
      here |= 1u << other;
    }
    lanes &= ~members;
    if (here != members) continue;
    together(warp, instruction, members);
    if (behind == Behind::GoOn) warp.resume(members);
  }
}

void meet_whole(Warp& warp, const Instruction& instruction, LaneMask lanes, Together together,
                Behind behind) {
  if (warp.exists != kAllLanes) warp.fault(instruction, std::countr_zero(lanes), "the warp is not whole");
  meet(warp, instruction, lanes, nullptr, together, behind);
}

}  // namespace prospect::emulator
