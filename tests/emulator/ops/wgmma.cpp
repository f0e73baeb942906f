// wgmma: products of four warps, and their groups.
#include "tests/emulator/block.h"
#include "tests/emulator/meeting.h"
#include "tests/emulator/op_table.h"
#include "tests/emulator/warpgroup.h"

namespace prospect::emulator {
namespace {

uint64_t same_in_all(Warp& warp, const Instruction& instruction, const Operand& operand) {
  const uint64_t value = warp.read(operand, 0);
  for (int lane = 1; lane < kLanes; ++lane) {
    if (warp.read(operand, lane) != value) {
      warp.fault(instruction, lane, "a descriptor or scale-d of wgmma differs from lane 0's");
    }
  }
  return value;
}

/// Operands: accumulators; descriptor or registers of A; descriptor of B; scale-d; immediates.
void product(Warp& warp, const Instruction& instruction, LaneMask) {
  const ProductShape shape = shape_of(warp, instruction);
  const size_t half = shape.columns / 2, b = half + (shape.a_in_registers ? 4 : 1);
  Warpgroup& group = warpgroup_of(warp, instruction);
  const auto own = static_cast<size_t>(warp.index) % Warpgroup::kWarps;
  Warpgroup::Product made{&instruction, 0, same_in_all(warp, instruction, instruction.operands[b]),
                          same_in_all(warp, instruction, instruction.operands[b + 1]) != 0, 0};
  if (!shape.a_in_registers) made.a = same_in_all(warp, instruction, instruction.operands[half]);
  const uint32_t number = group.committed[own] + 1;
  if (warp.registers != nullptr) {
    const std::string reason =
        warp.registers->product(instruction, half, shape.a_in_registers ? 4 : 0, number);
    if (!reason.empty()) warp.fault(instruction, 0, reason);
  }
  multiply(warp, instruction, shape, made);
  if (Checker* checker = warp.block->launch.checker) {
    check_reads(warp, made, shape,
                checker->begin_work(warp, instruction, 0, *warp.block, group.engine, number));
  }
  group.open[own].push_back(made);
}

void fence(Warp& warp, const Instruction&, LaneMask) {
  if (warp.registers != nullptr) warp.registers->fence();
}

void commit(Warp& warp, const Instruction& instruction, LaneMask) {
  warpgroup_of(warp, instruction).commit(warp);
}

void wait(Warp& warp, const Instruction& instruction, LaneMask) {
  Warpgroup& group = warpgroup_of(warp, instruction);
  const auto pending = static_cast<uint32_t>(warp.read(instruction.operands[0], 0));
  const uint32_t committed = group.committed[static_cast<size_t>(warp.index) % Warpgroup::kWarps];
  group.wait(warp, instruction, committed > pending ? committed - pending : 0);
}

/// The warp goes on when its groups are complete.
void wait_group(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  meet_whole(warp, instruction, lanes, wait, Behind::Stay);
}

}  // namespace

void add_wgmma_ops(OpTable& table) {
  for (int columns = 8; columns <= 256; columns += 8) {
    const std::string spelling =
        "wgmma.mma_async.sync.aligned.m64n" + std::to_string(columns) + "k16.f32.bf16.bf16";
    const std::string accumulators = "(" + std::string(static_cast<size_t>(columns) / 2, 'W') + ")";
    table.add(spelling, (accumulators + "ddpwwww").c_str(), whole_warp<product>, Flow::Wait, columns);
    table.add(spelling, (accumulators + "(wwww)dpwww").c_str(), whole_warp<product>, Flow::Wait, -columns);
  }
  table.add("wgmma.fence.sync.aligned", "", whole_warp<fence>, Flow::Wait);
  table.add("wgmma.commit_group.sync.aligned", "", whole_warp<commit>, Flow::Wait);
  table.add("wgmma.wait_group.sync.aligned", "w", wait_group, Flow::Wait);
}

}  // namespace prospect::emulator
