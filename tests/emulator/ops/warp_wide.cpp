// Instructions in which lanes of a warp meet: shuffles, votes, reductions, matches.
#include <algorithm>
#include <bit>

#include "tests/emulator/block.h"
#include "tests/emulator/meeting.h"
#include "tests/emulator/op_table.h"

namespace prospect::emulator {

namespace {

enum class Shuffle { Up, Down, Butterfly, Index };

/// shfl.sync d|p, a, b, c, mask. c: bits 8-12 which lane bits a segment keeps, bits 0-4 the clamp.
template <Shuffle kind>
void shuffle(Warp& warp, const Instruction& instruction, LaneMask members) {
  const auto& operands = instruction.operands;
  uint32_t values[kLanes];
  std::copy_n(warp.lanes<uint32_t>(operands[2]), kLanes, values);
  uint32_t* d = warp.lanes<uint32_t>(operands[0]);
  LaneMask in_range = 0;
  for (LaneMask left = members; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    const int b = static_cast<int>(warp.lanes<uint32_t>(operands[3])[lane] & 31);
    const int c = static_cast<int>(warp.lanes<uint32_t>(operands[4])[lane]);
    const int segment = c >> 8 & 31, clamp = c & 31;
    const int least = lane & segment, most = least | (clamp & ~segment);
    int source = kind == Shuffle::Up          ? lane - b
                 : kind == Shuffle::Down      ? lane + b
                 : kind == Shuffle::Butterfly ? lane ^ b
                                              : least | (b & ~segment);
    const bool ok = kind == Shuffle::Up ? source >= most : source <= most;
    if (!ok) source = lane;
    if (ok) in_range |= 1u << lane;
    constexpr uint32_t kUndefined = 0xffffffffu;  // the source takes no part
    d[lane] = (members >> source & 1) != 0 ? values[source] : kUndefined;
  }
  if (operands[1].slot != 0) warp.set_predicate(operands[1], members, in_range);
}

template <auto function>
void vote(Warp& warp, const Instruction& instruction, LaneMask members) {
  const LaneMask yes = warp.predicate(instruction.operands[1]) & members;
  warp.set_predicate(instruction.operands[0], members, function(yes, members) ? kAllLanes : 0);
}

void ballot(Warp& warp, const Instruction& instruction, LaneMask members) {
  const LaneMask yes = warp.predicate(instruction.operands[1]) & members;
  for_lanes(members, [&](int lane) { warp.lanes<uint32_t>(instruction.operands[0])[lane] = yes; });
}

template <class T, auto function>
void reduce(Warp& warp, const Instruction& instruction, LaneMask members) {
  const T* a = warp.lanes<T>(instruction.operands[1]);
  T result = a[std::countr_zero(members)];
  for (LaneMask left = members & (members - 1); left != 0; left &= left - 1) {
    result = static_cast<T>(function(result, a[std::countr_zero(left)]));
  }
  for_lanes(members, [&](int lane) { warp.lanes<T>(instruction.operands[0])[lane] = result; });
}

/// Each lane gets the lanes that hold the same value.
template <class T>
void match_any(Warp& warp, const Instruction& instruction, LaneMask members) {
  const T* a = warp.lanes<T>(instruction.operands[1]);
  LaneMask same[kLanes] = {};
  for (LaneMask left = members; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    for_lanes(members, [&](int other) { same[lane] |= static_cast<LaneMask>(a[other] == a[lane]) << other; });
  }
  for_lanes(members, [&](int lane) { warp.lanes<uint32_t>(instruction.operands[0])[lane] = same[lane]; });
}

void elect(Warp& warp, const Instruction& instruction, LaneMask members) {
  const int leader = std::countr_zero(members);
  if (instruction.operands[0].slot != 0) {
    for_lanes(members, [&](int lane) {
      warp.lanes<uint32_t>(instruction.operands[0])[lane] = static_cast<uint32_t>(leader);
    });
  }
  warp.set_predicate(instruction.operands[1], members, 1u << leader);
}

void active_mask(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  for_lanes(lanes, [&](int lane) { warp.lanes<uint32_t>(instruction.operands[0])[lane] = lanes; });
}

/// What the members did is before what they do from now on.
void synchronise(Warp& warp, const Instruction&, LaneMask members) {
  Checker* checker = warp.block->launch.checker;
  if (checker == nullptr) return;
  History history;
  checker->release(warp, members, history);
  checker->acquire(warp, members, history);
}

/// The mask is the last operand of them all.
template <Together together>
void with_mask(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  meet(warp, instruction, lanes, &instruction.operands.back(), together);
}

template <Together together>
void add(OpTable& table, const std::string& spelling, const char* letters) {
  table.add(spelling, letters, with_mask<together>, Flow::Wait);
}

}  // namespace

void add_warp_ops(OpTable& table) {
  add<synchronise>(table, "bar.warp.sync", "w");
  add<shuffle<Shuffle::Up>>(table, "shfl.sync.up.b32", "W|Pwwww");
  add<shuffle<Shuffle::Down>>(table, "shfl.sync.down.b32", "W|Pwwww");
  add<shuffle<Shuffle::Butterfly>>(table, "shfl.sync.bfly.b32", "W|Pwwww");
  add<shuffle<Shuffle::Index>>(table, "shfl.sync.idx.b32", "W|Pwwww");
  add<vote<[](LaneMask yes, LaneMask) { return yes != 0; }>>(table, "vote.sync.any.pred", "Ppw");
  add<vote<[](LaneMask yes, LaneMask all) { return yes == all; }>>(table, "vote.sync.all.pred", "Ppw");
  add<vote<[](LaneMask yes, LaneMask all) { return yes == all || yes == 0; }>>(table, "vote.sync.uni.pred",
                                                                               "Ppw");
  add<ballot>(table, "vote.sync.ballot.b32", "Wpw");
  add<match_any<uint32_t>>(table, "match.any.sync.b32", "Www");
  add<match_any<uint64_t>>(table, "match.any.sync.b64", "Wdw");
  add<elect>(table, "elect.sync", "W|Pw");
  using u32 = uint32_t;
  add<reduce<u32, [](u32 a, u32 b) { return a + b; }>>(table, "redux.sync.add.{u32,s32}", "Www");
  add<reduce<u32, [](u32 a, u32 b) { return std::min(a, b); }>>(table, "redux.sync.min.u32", "Www");
  add<reduce<u32, [](u32 a, u32 b) { return std::max(a, b); }>>(table, "redux.sync.max.u32", "Www");
  add<reduce<int32_t, [](int32_t a, int32_t b) { return std::min(a, b); }>>(table, "redux.sync.min.s32",
                                                                            "Www");
  add<reduce<int32_t, [](int32_t a, int32_t b) { return std::max(a, b); }>>(table, "redux.sync.max.s32",
                                                                            "Www");
  add<reduce<u32, [](u32 a, u32 b) { return a & b; }>>(table, "redux.sync.and.b32", "Www");
  add<reduce<u32, [](u32 a, u32 b) { return a | b; }>>(table, "redux.sync.or.b32", "Www");
  add<reduce<u32, [](u32 a, u32 b) { return a ^ b; }>>(table, "redux.sync.xor.b32", "Www");
  table.add("activemask.b32", "W", active_mask);
}

}  // namespace prospect::emulator
