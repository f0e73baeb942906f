// Loads and stores. Vectors of two and four move as one access.
#include <bit>
#include <cstring>

#include "tests/emulator/op_table.h"
#include "tests/emulator/requests.h"
#include "tests/emulator/warp.h"

namespace prospect::emulator {
namespace {

uint64_t address_of(Warp& warp, const Operand& operand, int lane) {
  return warp.read(operand, lane) + static_cast<uint64_t>(operand.offset);
}

/// T: the type in memory; its sign says how it fills a wider register.
template <Space space, class T, size_t count>
void load(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  count_request(warp, instruction, lanes, space, instruction.operands[count], sizeof(T) * count,
                Access::Read);
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    const std::byte* from =
        warp.reach(instruction, lane, space, address_of(warp, instruction.operands[count], lane),
                   sizeof(T) * count, Access::Read);
    for (size_t i = 0; i < count; ++i) {
      T value;
      std::memcpy(&value, from + i * sizeof(T), sizeof(T));
      if (instruction.operands[i].slot == 0) continue;
      warp.write(instruction.operands[i], lane, static_cast<uint64_t>(static_cast<int64_t>(value)));
    }
  }
}

template <Space space, class T, size_t count>
void store(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  count_request(warp, instruction, lanes, space, instruction.operands[0], sizeof(T) * count, Access::Write);
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    std::byte* to = warp.reach(instruction, lane, space, address_of(warp, instruction.operands[0], lane),
                               sizeof(T) * count, Access::Write);
    for (size_t i = 0; i < count; ++i) {
      const T value = static_cast<T>(warp.read(instruction.operands[1 + i], lane));
      std::memcpy(to + i * sizeof(T), &value, sizeof(T));
    }
  }
}

/// Orders and cache hints that change nothing here: execution is sequentially consistent.
constexpr const char* kLoad =
    "{,.volatile,.relaxed.gpu,.acquire.gpu,.relaxed.sys,.acquire.sys,.relaxed.cta,"
    ".acquire.cta}";
constexpr const char* kStore =
    "{,.volatile,.relaxed.gpu,.release.gpu,.relaxed.sys,.release.sys,.relaxed.cta,"
    ".release.cta}";
constexpr const char* kLoadHint =
    "{,.nc,.ca,.cg,.cs,.lu,.cv,.nc.L1::no_allocate,.L1::no_allocate,.L1::evict_last,"
    ".L1::evict_first,.nc.L2::128B,.nc.L2::256B,.nc.L1::no_allocate.L2::128B,"
    ".nc.L1::no_allocate.L2::256B}";
constexpr const char* kStoreHint = "{,.wb,.cg,.cs,.wt,.L1::no_allocate}";

template <Space space, class T>
void add(OpTable& table, const std::string& name, const std::string& types) {
  const std::string load_hint = space == Space::Global ? kLoadHint : "",
                    store_hint = space == Space::Global ? kStoreHint : "";
  const std::string loads = std::string("ld") + (space == Space::Param ? "" : kLoad) + name + load_hint;
  const std::string stores = std::string("st") + kStore + name + store_hint;
  // Registers may be wider than what they hold.
  const std::string letter = sizeof(T) < 8 ? "x" : "d", upper = sizeof(T) < 8 ? "X" : "D";
  table.add(loads + "." + types, (upper + "a").c_str(), load<space, T, 1>);
  table.add(loads + ".v2." + types, ("(" + upper + upper + ")a").c_str(), load<space, T, 2>);
  if constexpr (sizeof(T) < 8) {
    table.add(loads + ".v4." + types, ("(" + upper + upper + upper + upper + ")a").c_str(),
              load<space, T, 4>);
  }
  if constexpr (space != Space::Param) {
    table.add(stores + "." + types, ("a" + letter).c_str(), store<space, T, 1>);
    table.add(stores + ".v2." + types, ("a(" + letter + letter + ")").c_str(), store<space, T, 2>);
    if constexpr (sizeof(T) < 8) {
      table.add(stores + ".v4." + types, ("a(" + letter + letter + letter + letter + ")").c_str(),
                store<space, T, 4>);
    }
  }
}

template <Space space>
void add_space(OpTable& table, const std::string& name) {
  add<space, uint8_t>(table, name, "{b8,u8}");
  add<space, int8_t>(table, name, "s8");
  add<space, uint16_t>(table, name, "{b16,u16}");
  add<space, int16_t>(table, name, "s16");
  add<space, uint32_t>(table, name, "{b32,u32,f32}");
  add<space, int32_t>(table, name, "s32");
  add<space, uint64_t>(table, name, "{b64,u64,s64,f64}");
}

}  // namespace

void add_memory_ops(OpTable& table) {
  add_space<Space::Generic>(table, "");
  add_space<Space::Global>(table, ".global");
  add_space<Space::Global>(table, ".const");
  add_space<Space::Shared>(table, "{.shared,.shared::cta}");
  add_space<Space::Local>(table, ".local");
  add_space<Space::Param>(table, ".param");
}

}  // namespace prospect::emulator
