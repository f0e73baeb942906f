#include "tests/emulator/warp.h"

#include <fmt/format.h>

#include <cstring>

#include "tests/emulator/block.h"
#include "tests/emulator/fault.h"

namespace prospect::emulator {

void Warp::resume(LaneMask lanes) {
  at_barrier &= ~lanes;
  at_meeting &= ~lanes;
  at_event &= ~lanes;
  ready |= lanes;
  for (LaneMask left = lanes; left != 0; left &= left - 1) ++pc[static_cast<size_t>(std::countr_zero(left))];
}

uint64_t Warp::read(const Operand& operand, int lane) {
  switch (operand.bits) {
    case 1:
      return predicate(operand) >> lane & 1;
    case 16:
      return lanes<uint16_t>(operand)[lane];
    case 32:
      return lanes<uint32_t>(operand)[lane];
    default:
      return lanes<uint64_t>(operand)[lane];
  }
}

void Warp::write(const Operand& operand, int lane, uint64_t value) {
  switch (operand.bits) {
    case 1:
      return set_predicate(operand, 1u << lane, value != 0 ? kAllLanes : 0);
    case 16:
      lanes<uint16_t>(operand)[lane] = static_cast<uint16_t>(value);
      return;
    case 32:
      lanes<uint32_t>(operand)[lane] = static_cast<uint32_t>(value);
      return;
    default:
      lanes<uint64_t>(operand)[lane] = value;
  }
}

void Warp::fault(const Instruction& instruction, int lane, const std::string& what) const {
  const Launch& launch = block->launch;
  const Extent thread = launch.block.place(static_cast<uint64_t>(index * kLanes + lane));
  throw Fault(fmt::format("{}\n  kernel {}\n  at {}\n  block ({},{},{}) thread ({},{},{})", what,
                          launch.program.kernel, launch.program.where(instruction), block->place.x,
                          block->place.y, block->place.z, thread.x, thread.y, thread.z));
}

}  // namespace prospect::emulator
