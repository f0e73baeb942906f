#include "tests/emulator/register_use.h"

#include <algorithm>
#include <limits>

namespace prospect::emulator {
namespace {

constexpr uint32_t kConstant = std::numeric_limits<uint32_t>::max();

}  // namespace

RegisterUse::RegisterUse(const Program& program) : program_(program) {
  reset();
}

void RegisterUse::reset() {
  states_.assign(static_cast<size_t>(program_.slots), State{});
  for (const Constant& constant : program_.constants)
    states_[static_cast<size_t>(constant.slot)].written = kConstant;
  for (const auto& [slot, special] : program_.specials)
    states_[static_cast<size_t>(slot)].written = kConstant;
  fences_ = 1;
  complete_ = 0;
}

std::string RegisterUse::other(const Instruction& instruction) {
  if (instruction.is_move) {
    State state = states_[static_cast<size_t>(instruction.operands[1].slot)];
    if (state.written == kConstant) state.written = fences_;
    states_[static_cast<size_t>(instruction.operands[0].slot)] = state;
    return "";
  }
  for (const Operand& operand : instruction.operands) {
    State& state = states_[static_cast<size_t>(operand.slot)];
    if (is_in_flight(state)) {
      if (operand.is_written) return "writes a register that wgmma uses until wgmma.wait_group";
      if (state.is_accumulator) return "reads an accumulator of wgmma before wgmma.wait_group";
    }
    if (operand.is_written && operand.slot != 0) state = {fences_, 0, false};
  }
  return "";
}

std::string RegisterUse::product(const Instruction& instruction, size_t accumulators, size_t inputs,
                                 uint32_t group) {
  for (size_t i = 0; i < accumulators + inputs; ++i) {
    const int slot = instruction.operands[i].slot;
    State& state = states_[static_cast<size_t>(slot)];
    const bool is_accumulator = i < accumulators;
    if (state.written == fences_ || state.written == kConstant) {
      return is_accumulator ? "an accumulator was written since the last wgmma.fence"
                            : "an A register was written since the last wgmma.fence";
    }
    if (!is_accumulator && is_in_flight(state) && state.is_accumulator) {
      return "reads an accumulator of wgmma before wgmma.wait_group";
    }
    state.group = group;
    state.is_accumulator = is_accumulator;
  }
  return "";
}

}  // namespace prospect::emulator
