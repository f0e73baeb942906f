#pragma once

#include "tests/emulator/bulk_queue.h"
#include "tests/emulator/tensor_map.h"
#include "tests/emulator/warp.h"

/// Copies by the asynchronous engine (PTX ISA, cp.async.bulk and its tensor form). They happen as Agents
/// says.
namespace prospect::emulator {

/// Who asks for a copy.
struct Asking {
  Warp& warp;
  const Instruction& instruction;
  int lane;
};

/// Where loads go: an address of shared::cluster, and the mbarrier that counts their bytes. `blocks`: bit r
/// for the block of rank r, each at the same place; 0: the block that the addresses name.
struct LoadTarget {
  Space space;
  uint64_t address, mbarrier;
  uint32_t blocks = 0;
};

// Each throws Fault.
void load_tensor(const Asking& asking, const LoadTarget& target, uint64_t map_address, int rank,
                 const std::array<int32_t, 5>& at);
void load_bytes(const Asking& asking, const LoadTarget& target, Space from_space, uint64_t from,
                uint32_t bytes);

/// Begins to copy from shared memory, in the thread's open group. combines: adds instead.
void store_tensor(const Asking& asking, uint64_t map_address, int rank, const std::array<int32_t, 5>& at,
                  uint64_t from, bool adds);
void store_bytes(const Asking& asking, uint64_t to, uint64_t from, uint32_t bytes, BulkCopy::Combine combine);

void commit_bulk_group(Warp& warp, LaneMask lanes);
/// The lanes' groups but the last `pending` have read their sources and, unless `only_read`, have written.
void wait_for_bulk_groups(Warp& warp, LaneMask lanes, uint32_t pending, bool only_read);

/// What adds elements.
BulkCopy::Combine adder(Element element);

}  // namespace prospect::emulator
