#pragma once

#include "tests/emulator/program.h"

namespace prospect::bench {

/// What one execution of a PTX instruction by a warp takes of a multiprocessor: warp instructions of each
/// pipe. Accesses to memory cost what their requests say, which are counted elsewhere.
struct InstructionCost {
  double fp32 = 0, integer = 0, special = 0, fp64 = 0;
  double exchange = 0;      ///< shuffles: they pass the pipe of shared memory
  double tensor_flops = 0;  ///< of the whole warp
  double warp_flops = 0;    ///< of these, those of mma.sync
  double other = 0;         ///< begun, and no work for a pipe that is counted: branches, barriers, accesses
};

/// Instructions that ptxas expands count as what it makes of them, those that it drops (moves, conversions of
/// addresses) as nothing; what it moves out of loops or merges is not foreseen. Throws std::runtime_error
/// where there is no rule.
InstructionCost cost_of(const emulator::Instruction& instruction);

}  // namespace prospect::bench
