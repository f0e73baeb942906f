// cp.async.bulk: copies by the asynchronous engine, whole or as boxes of tensors.
#include <fmt/format.h>

#include "tests/emulator/block.h"
#include "tests/emulator/engine_copy.h"
#include "tests/emulator/op_table.h"

namespace prospect::emulator {
namespace {

/// Reads an instruction's operands one after another.
class Operands {
 public:
  Operands(Warp& warp, const Instruction& instruction, int lane)
      : warp_(warp), instruction_(instruction), lane_(lane) {}
  uint64_t next() {
    const Operand& operand = instruction_.operands[next_++];
    return warp_.read(operand, lane_) + static_cast<uint64_t>(operand.offset);
  }
  std::array<int32_t, 5> coordinates(int rank) {
    std::array<int32_t, 5> at{};
    for (int d = 0; d < rank; ++d) at[static_cast<size_t>(d)] = static_cast<int32_t>(next());
    return at;
  }

 private:
  Warp& warp_;
  const Instruction& instruction_;
  int lane_;
  size_t next_ = 0;
};

/// [to], [map, {coordinates}], [mbarrier] {, blocks} {, cache policy}. variant: the rank, negative with
/// multicast.
void load_box(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const int rank = std::abs(instruction.op->variant);
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    Operands operands(warp, instruction, lane);
    LoadTarget target{Space::SharedCluster, operands.next(), 0};
    const uint64_t map = operands.next();
    const std::array<int32_t, 5> at = operands.coordinates(rank);
    target.mbarrier = operands.next();
    if (instruction.op->variant < 0) target.blocks = static_cast<uint32_t>(operands.next());
    load_tensor({warp, instruction, lane}, target, map, rank, at);
  }
}

enum Load { kFromGlobal, kMulticast, kFromShared };

/// [to], [from], bytes, [mbarrier] {, blocks} {, cache policy}
void load(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const int variant = instruction.op->variant;
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    Operands operands(warp, instruction, lane);
    LoadTarget target{Space::SharedCluster, operands.next(), 0};
    const uint64_t from = operands.next();
    const auto bytes = static_cast<uint32_t>(operands.next());
    target.mbarrier = operands.next();
    if (variant == kMulticast) target.blocks = static_cast<uint32_t>(operands.next());
    load_bytes({warp, instruction, lane}, target, variant == kFromShared ? Space::Shared : Space::Global,
               from, bytes);
  }
}

/// [map, {coordinates}], [from] {, cache policy}. variant: the rank, negative when it adds.
void store_box(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const int rank = std::abs(instruction.op->variant);
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    Operands operands(warp, instruction, lane);
    const uint64_t map = operands.next();
    const std::array<int32_t, 5> at = operands.coordinates(rank);
    store_tensor({warp, instruction, lane}, map, rank, at, operands.next(), instruction.op->variant < 0);
  }
}

/// [to], [from], bytes {, cache policy}. variant: the elements to add; negative: overwrites.
void store(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const int variant = instruction.op->variant;
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    Operands operands(warp, instruction, lane);
    const uint64_t to = operands.next(), from = operands.next();
    const auto bytes = static_cast<uint32_t>(operands.next());
    store_bytes({warp, instruction, lane}, to, from, bytes,
                variant < 0 ? nullptr : adder(static_cast<Element>(variant)));
  }
}

void commit(Warp& warp, const Instruction&, LaneMask lanes) {
  commit_bulk_group(warp, lanes);
}
/// variant: 1 when only the sources matter.
void wait(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto pending = static_cast<uint32_t>(warp.read(instruction.operands[0], std::countr_zero(lanes)));
  wait_for_bulk_groups(warp, lanes, pending, instruction.op->variant == 1);
}

void nothing(Warp&, const Instruction&, LaneMask) {}

void policy(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  for_lanes(lanes, [&](int lane) { warp.lanes<uint64_t>(instruction.operands[0])[lane] = 0; });
}

void add_boxes(OpTable& table, int rank) {
  const std::string form = ".tensor." + std::to_string(rank) + "d",
                    box = "[d(" + std::string(static_cast<size_t>(rank), 'w') + ")]";
  const std::string load = "cp.async.bulk" + form +
                           ".{shared::cluster,shared::cta}.global{,.tile}.mbarrier::complete_tx::bytes",
                    multicast = ".multicast::cluster", hint = ".L2::cache_hint";
  table.add(load, ("a" + box + "a").c_str(), load_box, Flow::Next, rank);
  table.add(load + hint, ("a" + box + "ad").c_str(), load_box, Flow::Next, rank);
  table.add(load + multicast, ("a" + box + "ah").c_str(), load_box, Flow::Next, -rank);
  table.add(load + multicast + hint, ("a" + box + "ahd").c_str(), load_box, Flow::Next, -rank);
  const std::string group = "{,.tile}.bulk_group", where = ".global.shared::cta";
  table.add("cp.async.bulk" + form + where + group, (box + "a").c_str(), store_box, Flow::Next, rank);
  table.add("cp.async.bulk" + form + where + group + hint, (box + "ad").c_str(), store_box, Flow::Next, rank);
  table.add("cp.reduce.async.bulk" + form + where + ".add" + group, (box + "a").c_str(), store_box,
            Flow::Next, -rank);
  table.add("cp.reduce.async.bulk" + form + where + ".add" + group + hint, (box + "ad").c_str(), store_box,
            Flow::Next, -rank);
  table.add("cp.async.bulk.prefetch" + form + ".L2.global{,.tile}", box.c_str(), nothing);
}

void add_reduction(OpTable& table, const std::string& type, Element element) {
  const std::string spelling = "cp.reduce.async.bulk.global.shared::cta.bulk_group";
  table.add(spelling + ".add" + type, "aaw", store, Flow::Next, static_cast<int>(element));
  table.add(spelling + ".L2::cache_hint.add" + type, "aawd", store, Flow::Next, static_cast<int>(element));
}

}  // namespace

void add_bulk_ops(OpTable& table) {
  for (int rank = 1; rank <= 5; ++rank) add_boxes(table, rank);
  const std::string completes = ".mbarrier::complete_tx::bytes", hint = ".L2::cache_hint";
  const std::string load_global = "cp.async.bulk.{shared::cluster,shared::cta}.global" + completes;
  table.add(load_global, "aawa", load, Flow::Next, kFromGlobal);
  table.add(load_global + hint, "aawad", load, Flow::Next, kFromGlobal);
  table.add(load_global + ".multicast::cluster", "aawah", load, Flow::Next, kMulticast);
  table.add(load_global + ".multicast::cluster" + hint, "aawahd", load, Flow::Next, kMulticast);
  table.add("cp.async.bulk.shared::cluster.shared::cta" + completes, "aawa", load, Flow::Next, kFromShared);
  table.add("cp.async.bulk.global.shared::cta.bulk_group", "aaw", store, Flow::Next, -1);
  table.add("cp.async.bulk.global.shared::cta.bulk_group" + hint, "aawd", store, Flow::Next, -1);
  add_reduction(table, ".f32", Element::Float32);
  add_reduction(table, ".f64", Element::Float64);
  add_reduction(table, ".noftz.bf16", Element::Bfloat16);
  add_reduction(table, ".{u32,s32}", Element::Unsigned32);
  add_reduction(table, ".u64", Element::Unsigned64);
  table.add("cp.async.bulk.prefetch.L2.global", "aw", nothing);
  table.add("cp.async.bulk.commit_group", "", commit);
  table.add("cp.async.bulk.wait_group", "w", wait, Flow::Next, 0);
  table.add("cp.async.bulk.wait_group.read", "w", wait, Flow::Next, 1);
  table.add("prefetch.tensormap", "a", nothing);
  table.add("createpolicy.fractional.L2::{evict_first,evict_last,evict_normal}.b64", "D?w", policy);
}

}  // namespace prospect::emulator
