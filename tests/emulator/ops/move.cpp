// Copies between registers, whole or in parts, and between address spaces' ways to name a place.
#include <bit>

#include "tests/emulator/block.h"
#include "tests/emulator/op_table.h"

namespace prospect::emulator {
namespace {

template <class T>
T same(T a) {
  return a;
}

/// d = {parts}, the first part lowest.
void pack(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    uint64_t whole = 0;
    for (size_t i = instruction.operands.size() - 1; i > 0; --i) {
      whole = whole << instruction.operands[i].bits | warp.read(instruction.operands[i], lane);
    }
    warp.write(instruction.operands[0], lane, whole);
  }
}

/// {parts} = a
void unpack(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    uint64_t whole = warp.read(instruction.operands.back(), lane);
    for (size_t i = 0; i + 1 < instruction.operands.size(); ++i) {
      const Operand& part = instruction.operands[i];
      if (part.slot != 0) warp.write(part, lane, whole);
      whole >>= part.bits;
    }
  }
}

template <uint64_t window>
uint64_t to_generic(uint64_t address) {
  return address | window;
}
template <uint64_t window>
uint64_t from_generic(uint64_t address) {
  return address & ~window;
}

}  // namespace

void add_move_ops(OpTable& table) {
  table.add("mov.{b16,u16,s16}", "Hh", map1<uint16_t, uint16_t, same<uint16_t>>);
  table.add("mov.{b32,u32,s32,f32}", "Ww", map1<uint32_t, uint32_t, same<uint32_t>>);
  table.add("mov.{b64,u64,s64,f64}", "Dd", map1<uint64_t, uint64_t, same<uint64_t>>);
  table.add("mov.b32", "W(hh)", pack);
  table.add("mov.b64", "D(ww)", pack);
  table.add("mov.b64", "D(hhhh)", pack);
  table.add("mov.b32", "(HH)w", unpack);
  table.add("mov.b64", "(WW)d", unpack);
  table.add("mov.b64", "(HHHH)d", unpack);
  // Global addresses are generic ones; so are those of local memory and parameters here.
  table.add("cvta.{global,local,param,const}.u64", "Dd", map1<uint64_t, uint64_t, same<uint64_t>>);
  table.add("cvta.to.{global,local,param,const}.u64", "Dd", map1<uint64_t, uint64_t, same<uint64_t>>);
  table.add("cvta.shared.u64", "Dd", map1<uint64_t, uint64_t, to_generic<kSharedWindow>>);
  table.add("cvta.to.shared.u64", "Dd", map1<uint64_t, uint64_t, from_generic<kSharedWindow>>);
}

}  // namespace prospect::emulator
