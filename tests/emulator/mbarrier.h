#pragma once

#include <cstdint>
#include <vector>

#include "tests/emulator/history.h"
#include "tests/emulator/warp.h"

namespace prospect::emulator {

/// A barrier object in shared memory (PTX ISA, "mbarrier"): a phase is complete when as many arrivals have
/// come as expected, and as many bytes of copies.
struct Mbarrier {
  struct Waiting {
    Warp* warp;
    int lane;
    const Instruction* instruction;
    uint32_t parity;
  };
  Block* block = nullptr;
  uint32_t expected = 0, pending = 0;
  int64_t bytes = 0;  ///< still to come
  uint64_t phases = 0;
  const Warp* initialiser = nullptr;
  bool is_fenced = false;  ///< copies may use it
  std::vector<Waiting> waiting;
  History arrivals, complete;
  uint32_t engine = 0;  ///< the checker's, of copies that it tracks

  bool is_complete(uint32_t parity) const { return (phases & 1) != parity; }
  /// Takes back lanes that wait: they find the phase incomplete. Returns whether there were any.
  bool expire();
};

/// The barrier at an address. Throws Fault where there is none.
Mbarrier& find_mbarrier(Warp& warp, const Instruction& instruction, int lane, Space space, uint64_t address);
/// `count` arrivals and `bytes` more to come (fewer, when they have come). Throws Fault.
void update(Mbarrier& barrier, const Warp& warp, const Instruction& instruction, int lane, uint32_t count,
            int64_t bytes);
/// Stops a lane until the phase of that parity is complete; then, or when it is already, its predicate says
/// so. The instruction's first operand is the predicate.
void await(Mbarrier& barrier, Warp& warp, const Instruction& instruction, int lane, uint32_t parity);

}  // namespace prospect::emulator
