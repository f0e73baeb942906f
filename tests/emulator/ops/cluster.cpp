// Clusters, and what else only Hopper has.
#include <fmt/format.h>

#include "tests/emulator/block.h"
#include "tests/emulator/meeting.h"
#include "tests/emulator/op_table.h"

namespace prospect::emulator {
namespace {

void nothing(Warp&, const Instruction&, LaneMask) {}

void arrive(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  warp.block->cluster->arrive(warp, instruction, lanes,
                              instruction.op->spelling.find(".relaxed") == std::string::npos);
}
void wait(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  warp.block->cluster->wait(warp, instruction, lanes);
}

/// mapa d, address, rank: the same place in another block of the cluster.
template <class T>
void map_address(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    const uint64_t address = warp.read(instruction.operands[1], lane),
                   rank = warp.read(instruction.operands[2], lane);
    if (rank >= warp.block->cluster->blocks.size()) {
      warp.fault(instruction, lane, fmt::format("the cluster has no block {}", rank));
    }
    if (sizeof(T) == 8 && (address < kSharedWindow || address >= kLocalWindow)) {
      warp.fault(instruction, lane, fmt::format("mapa of {:#x}: no shared memory", address));
    }
    constexpr uint64_t kPlace = (uint64_t{1} << kSharedRankShift) - 1, kRank = 0xff * (kPlace + 1);
    warp.write(instruction.operands[0], lane, (address & ~kRank) | (rank + 1) << kSharedRankShift);
  }
}

/// getctarank d, address
void rank_of(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    const uint64_t rank = warp.read(instruction.operands[1], lane) >> kSharedRankShift & 0xff;
    warp.write(instruction.operands[0], lane, rank == 0 ? warp.block->rank : rank - 1);
  }
}

/// setmaxnreg: registers are no limit here, but the number must be one.
void set_registers(Warp& warp, const Instruction& instruction, LaneMask) {
  const uint64_t count = warp.read(instruction.operands[0], 0);
  if (count < 24 || count > 256 || count % 8 != 0) {
    warp.fault(instruction, 0, fmt::format("setmaxnreg of {}: 24 to 256, in steps of 8", count));
  }
}

}  // namespace

void add_cluster_ops(OpTable& table) {
  table.add("barrier.cluster.arrive{,.release,.relaxed}{,.aligned}", "", arrive);
  table.add("barrier.cluster.wait{,.acquire}{,.aligned}", "", wait, Flow::Wait);
  table.add("mapa{,.shared::cluster}.u32", "Www", map_address<uint32_t>);
  table.add("mapa.u64", "Ddw", map_address<uint64_t>);
  table.add("getctarank.shared::cluster.u32", "Ww", rank_of);
  table.add("getctarank.u64", "Wd", rank_of);
  table.add("setmaxnreg.{inc,dec}.sync.aligned.u32", "w", whole_warp<set_registers>, Flow::Wait);
  // Launches follow each other anyway.
  table.add("griddepcontrol.{wait,launch_dependents}", "", nothing);
}

}  // namespace prospect::emulator
