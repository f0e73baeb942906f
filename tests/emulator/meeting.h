#pragma once

#include "tests/emulator/warp.h"

namespace prospect::emulator {

/// What lanes of a warp do together, once all of them stand at the instruction.
using Together = void (*)(Warp&, const Instruction&, LaneMask members);

/// What becomes of the lanes behind that: they go on, or `together` sees to it.
enum class Behind { GoOn, Stay };

/// The lanes stop until all that their masks name stand at this instruction; then `together` runs. Throws
/// Fault when one of those stands elsewhere, has exited or names other lanes. mask: the operand that names
/// them; null: the whole warp.
void meet(Warp& warp, const Instruction& instruction, LaneMask lanes, const Operand* mask, Together together,
          Behind behind = Behind::GoOn);

/// The handler of an instruction that needs all 32 lanes.
void meet_whole(Warp& warp, const Instruction& instruction, LaneMask lanes, Together together,
                Behind behind = Behind::GoOn);
template <Together together>
void whole_warp(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  meet_whole(warp, instruction, lanes, together);
}

}  // namespace prospect::emulator
