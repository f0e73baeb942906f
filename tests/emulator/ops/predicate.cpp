// Comparisons, logic of predicates, and selection.
#include <bit>
#include <cmath>

#include "tests/emulator/op_table.h"
#include "tests/emulator/warp.h"

namespace prospect::emulator {
namespace {

/// How the result is combined with a predicate: the variants of setp.
enum class Combine { None, And, Or, Xor };

/// setp d|e, a, b [, c]: d = (a ? b) combined with c, e = not (a ? b) combined with c.
template <class T, auto compare>
void set_predicates(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const T* a = warp.lanes<T>(instruction.operands[2]);
  const T* b = warp.lanes<T>(instruction.operands[3]);
  LaneMask yes = 0;
  for (int lane = 0; lane < kLanes; ++lane) yes |= static_cast<LaneMask>(compare(a[lane], b[lane])) << lane;
  LaneMask no = ~yes;
  if (const auto combine = static_cast<Combine>(instruction.op->variant); combine != Combine::None) {
    const LaneMask c = warp.predicate(instruction.operands[4]);
    yes = combine == Combine::And ? yes & c : combine == Combine::Or ? yes | c : yes ^ c;
    no = combine == Combine::And ? no & c : combine == Combine::Or ? no | c : no ^ c;
  }
  warp.set_predicate(instruction.operands[0], lanes, yes);
  if (instruction.operands[1].slot != 0) warp.set_predicate(instruction.operands[1], lanes, no);
}

template <class T, auto compare>
void add(OpTable& table, const std::string& name, const std::string& types) {
  constexpr const char* plain = sizeof(T) == 2 ? "P|Phh" : sizeof(T) == 4 ? "P|Pww" : "P|Pdd";
  constexpr const char* combined = sizeof(T) == 2 ? "P|Phhp" : sizeof(T) == 4 ? "P|Pwwp" : "P|Pddp";
  const auto row = [&](const char* word, const char* letters, Combine combine) {
    table.add("setp." + name + word + types, letters, set_predicates<T, compare>, Flow::Next,
              static_cast<int>(combine));
  };
  row("", plain, Combine::None);
  row(".and", combined, Combine::And);
  row(".or", combined, Combine::Or);
  row(".xor", combined, Combine::Xor);
}

template <class U>
void add_integers(OpTable& table, const std::string& bits) {
  using S = std::make_signed_t<U>;
  const std::string every = ".{b" + bits + ",u" + bits + ",s" + bits + "}", u = ".u" + bits, s = ".s" + bits;
  add<U, [](U a, U b) { return a == b; }>(table, "eq", every);
  add<U, [](U a, U b) { return a != b; }>(table, "ne", every);
  add<U, [](U a, U b) { return a < b; }>(table, "{lt,lo}", u);
  add<U, [](U a, U b) { return a <= b; }>(table, "{le,ls}", u);
  add<U, [](U a, U b) { return b < a; }>(table, "{gt,hi}", u);
  add<U, [](U a, U b) { return a >= b; }>(table, "{ge,hs}", u);
  add<S, [](S a, S b) { return a < b; }>(table, "lt", s);
  add<S, [](S a, S b) { return a <= b; }>(table, "le", s);
  add<S, [](S a, S b) { return b < a; }>(table, "gt", s);
  add<S, [](S a, S b) { return a >= b; }>(table, "ge", s);
}

/// The comparisons that end in u are true of NaNs.
template <class F>
void add_floats(OpTable& table, const std::string& type) {
  add<F, [](F a, F b) { return a == b; }>(table, "eq", type);
  add<F, [](F a, F b) { return a < b || b < a; }>(table, "ne", type);
  add<F, [](F a, F b) { return a < b; }>(table, "lt", type);
  add<F, [](F a, F b) { return a <= b; }>(table, "le", type);
  add<F, [](F a, F b) { return b < a; }>(table, "gt", type);
  add<F, [](F a, F b) { return a >= b; }>(table, "ge", type);
  add<F, [](F a, F b) { return !(a < b || b < a); }>(table, "equ", type);
  add<F, [](F a, F b) { return a != b; }>(table, "neu", type);
  add<F, [](F a, F b) { return !(a >= b); }>(table, "ltu", type);
  add<F, [](F a, F b) { return !(b < a); }>(table, "leu", type);
  add<F, [](F a, F b) { return !(a <= b); }>(table, "gtu", type);
  add<F, [](F a, F b) { return !(a < b); }>(table, "geu", type);
  add<F, [](F a, F b) { return a == a && b == b; }>(table, "num", type);
  add<F, [](F a, F b) { return a != a || b != b; }>(table, "nan", type);
}

template <auto function>
void logic(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const LaneMask a = warp.predicate(instruction.operands[1]), b = warp.predicate(instruction.operands.back());
  warp.set_predicate(instruction.operands[0], lanes, function(a, b));
}

template <class T>
void select(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  T* d = warp.lanes<T>(instruction.operands[0]);
  const T* a = warp.lanes<T>(instruction.operands[1]);
  const T* b = warp.lanes<T>(instruction.operands[2]);
  const LaneMask choice = warp.predicate(instruction.operands[3]);
  for_lanes(lanes, [=](int lane) { d[lane] = (choice >> lane & 1) != 0 ? a[lane] : b[lane]; });
}

}  // namespace

void add_predicate_ops(OpTable& table) {
  add_integers<uint16_t>(table, "16");
  add_integers<uint32_t>(table, "32");
  add_integers<uint64_t>(table, "64");
  add_floats<float>(table, ".f32");
  add_floats<double>(table, ".f64");
  table.add("and.pred", "Ppp", logic<[](LaneMask a, LaneMask b) { return a & b; }>);
  table.add("or.pred", "Ppp", logic<[](LaneMask a, LaneMask b) { return a | b; }>);
  table.add("xor.pred", "Ppp", logic<[](LaneMask a, LaneMask b) { return a ^ b; }>);
  table.add("not.pred", "Pp", logic<[](LaneMask a, LaneMask) { return ~a; }>);
  table.add("mov.pred", "Pp", logic<[](LaneMask a, LaneMask) { return a; }>);
  table.add("selp.{b16,u16,s16}", "Hhhp", select<uint16_t>);
  table.add("selp.{b32,u32,s32,f32}", "Wwwp", select<uint32_t>);
  table.add("selp.{b64,u64,s64,f64}", "Dddp", select<uint64_t>);
}

}  // namespace prospect::emulator
