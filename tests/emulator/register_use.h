#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/emulator/program.h"

namespace prospect::emulator {

/// What a warp's registers are to wgmma: accumulators and A operands belong to it until the group is awaited,
/// and need wgmma.fence after any other instruction has written them. Copies made by `mov` pass that on:
/// where nvcc puts them, ptxas needs none.
class RegisterUse {
 public:
  explicit RegisterUse(const Program& program);
  void reset();

  /// Any instruction but wgmma itself. Returns what is wrong with it; empty: nothing.
  std::string other(const Instruction& instruction);
  void fence() { ++fences_; }
  /// wgmma of a group, from 1 on: `accumulators` and then `inputs` operands from the first on.
  std::string product(const Instruction& instruction, size_t accumulators, size_t inputs, uint32_t group);
  /// All groups up to this one have been awaited.
  void complete(uint32_t group) { complete_ = group; }

 private:
  struct State {
    uint32_t written = 0;  ///< fences before the last write by another instruction
    uint32_t group = 0;    ///< that uses it
    bool is_accumulator = false;
  };
  bool is_in_flight(const State& state) const { return state.group > complete_; }

  const Program& program_;
  std::vector<State> states_;  ///< by slot
  uint32_t fences_ = 1, complete_ = 0;
};

}  // namespace prospect::emulator
