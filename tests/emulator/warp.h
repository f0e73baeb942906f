#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "tests/emulator/bulk_queue.h"
#include "tests/emulator/program.h"
#include "tests/emulator/register_use.h"

namespace prospect::emulator {

struct Block;

/// A copy that cp.async has announced: it happens when the lane waits for its group.
struct PendingCopy {
  std::byte* to;
  const std::byte* from;
  uint32_t bytes, zeros;
};
struct CopyQueue {
  std::vector<PendingCopy> open;
  std::deque<std::vector<PendingCopy>> groups;
};

/// Strong accesses are those with an order, volatile or atomic: they may meet without a race.
enum class Access : uint8_t { Read, Write, StrongRead, StrongWrite, Atomic };
constexpr bool reads(Access access) {
  return access != Access::Write && access != Access::StrongWrite;
}
constexpr bool writes(Access access) {
  return access != Access::Read && access != Access::StrongRead;
}
constexpr bool is_strong(Access access) {
  return access >= Access::StrongRead;
}

/// 32 threads that step together as long as they stand at the same instruction.
struct Warp {
  Block* block = nullptr;
  int index = 0;
  uint32_t priority = 0;
  bool is_spinning = false;  ///< its last turn ended because it was long, or polled in vain
  /// The last strong reads: what was read where, and how often in a row.
  struct {
    const Instruction* instruction = nullptr;
    uint64_t value = 0;
    int times = 0;
  } poll;
  LaneMask exists = 0;
  LaneMask ready = 0;       ///< can run
  LaneMask at_barrier = 0;  ///< stopped at a block barrier
  LaneMask at_meeting = 0;  ///< stopped at an instruction that needs other lanes of the warp
  LaneMask at_event = 0;    ///< stopped for other warps, blocks or copies
  std::array<uint32_t, kLanes> pc{};
  struct alignas(64) Slot {
    std::byte bytes[8 * kLanes];
  };
  std::vector<Slot> file;        ///< registers, constants, special values
  std::vector<std::byte> local;  ///< local memory, lane after lane
  std::array<CopyQueue, kLanes> copies;
  std::map<int, BulkQueue> bulk;  ///< by lane
  std::array<uint64_t, kLanes>
      cluster_phase{};  ///< of the cluster's barrier at which a lane has arrived, from 1 on
  std::unique_ptr<RegisterUse> registers;  ///< null unless they are checked

  static constexpr int kVainPolls = 3;
  /// A strong read, or an atomic, found `value` (of all its lanes).
  void note_poll(const Instruction& instruction, uint64_t value) {
    const bool is_same = poll.instruction == &instruction && poll.value == value;
    poll = {&instruction, value, is_same ? poll.times + 1 : 1};
  }

  LaneMask live() const { return ready | at_barrier | at_meeting | at_event; }
  /// Lets stopped lanes go on behind the instruction at which they stand.
  void resume(LaneMask lanes);

  template <class T>
  T* lanes(const Operand& operand) {
    return reinterpret_cast<T*>(file[static_cast<size_t>(operand.slot)].bytes);
  }
  LaneMask predicate(const Operand& operand) {
    const LaneMask value = *lanes<LaneMask>(operand);
    return operand.negated ? ~value : value;
  }
  void set_predicate(const Operand& operand, LaneMask lanes_set, LaneMask value) {
    LaneMask& target = *lanes<LaneMask>(operand);
    target = (target & ~lanes_set) | (value & lanes_set);
  }
  /// One lane's value of an operand of any width, with zeros above; and back.
  uint64_t read(const Operand& operand, int lane);
  void write(const Operand& operand, int lane, uint64_t value);

  /// Where `bytes` bytes at `address` lie in the host, after every check: space, bounds, alignment, races.
  std::byte* reach(const Instruction& instruction, int lane, Space space, uint64_t address, uint32_t bytes,
                   Access access);
  /// Throws Fault: "kernel K at FILE:LINE `text`: block (x,y,z) thread (x,y,z): what".
  [[noreturn]] void fault(const Instruction& instruction, int lane, const std::string& what) const;
};

template <class Body>
[[gnu::always_inline]] inline void for_lanes(LaneMask lanes, const Body& body) {
  if (lanes == kAllLanes) {
#pragma GCC ivdep
    for (int lane = 0; lane < kLanes; ++lane) body(lane);
  } else {
    for (; lanes != 0; lanes &= lanes - 1) body(std::countr_zero(lanes));
  }
}

/// Handlers of instructions that compute each lane's result from the lane's own operands.
template <class D, class A, auto function>
void map1(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  D* d = warp.lanes<D>(instruction.operands[0]);
  const A* a = warp.lanes<A>(instruction.operands[1]);
  for_lanes(lanes, [=](int lane) { d[lane] = static_cast<D>(function(a[lane])); });
}
template <class D, class A, class B, auto function>
void map2(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  D* d = warp.lanes<D>(instruction.operands[0]);
  const A* a = warp.lanes<A>(instruction.operands[1]);
  const B* b = warp.lanes<B>(instruction.operands[2]);
  for_lanes(lanes, [=](int lane) { d[lane] = static_cast<D>(function(a[lane], b[lane])); });
}
template <class D, class A, class B, class C, auto function>
void map3(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  D* d = warp.lanes<D>(instruction.operands[0]);
  const A* a = warp.lanes<A>(instruction.operands[1]);
  const B* b = warp.lanes<B>(instruction.operands[2]);
  const C* c = warp.lanes<C>(instruction.operands[3]);
  for_lanes(lanes, [=](int lane) { d[lane] = static_cast<D>(function(a[lane], b[lane], c[lane])); });
}

}  // namespace prospect::emulator
