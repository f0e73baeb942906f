#pragma once

#include "tests/emulator/warp.h"

namespace prospect::emulator {

/// What lanes of a warp do together, once all of them stand at the instruction.
using Together = void (*)(Warp&, const Instruction&, LaneMask members);

/// The lanes stop until all that their masks name stand at this instruction; then `together` runs and they go
/// on. Throws Fault when one of those stands elsewhere, has exited or names other lanes. mask: the operand
/// that names them; null: the whole warp.
void meet(Warp& warp, const Instruction& instruction, LaneMask lanes, const Operand* mask, Together together);

}  // namespace prospect::emulator
