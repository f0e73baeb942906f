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
template <class T, size_t count>
void load(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const bool is_strong = instruction.ordering.is_strong;
  const Access access = is_strong ? Access::StrongRead : Access::Read;
  count_request(warp, instruction, lanes, instruction.space, instruction.operands[count], sizeof(T) * count,
                access);
  uint64_t found = 0;
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    const std::byte* from =
        warp.reach(instruction, lane, instruction.space, address_of(warp, instruction.operands[count], lane),
                   sizeof(T) * count, access);
    for (size_t i = 0; i < count; ++i) {
      T value;
      std::memcpy(&value, from + i * sizeof(T), sizeof(T));
      found = found * 31 + static_cast<uint64_t>(value);
      if (instruction.operands[i].slot == 0) continue;
      warp.write(instruction.operands[i], lane, static_cast<uint64_t>(static_cast<int64_t>(value)));
    }
  }
  if (is_strong) warp.note_poll(instruction, found);
}

template <class T, size_t count>
void store(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const Access access = instruction.ordering.is_strong ? Access::StrongWrite : Access::Write;
  count_request(warp, instruction, lanes, instruction.space, instruction.operands[0], sizeof(T) * count,
                access);
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    std::byte* to = warp.reach(instruction, lane, instruction.space,
                               address_of(warp, instruction.operands[0], lane), sizeof(T) * count, access);
    for (size_t i = 0; i < count; ++i) {
      const T value = static_cast<T>(warp.read(instruction.operands[1 + i], lane));
      std::memcpy(to + i * sizeof(T), &value, sizeof(T));
    }
  }
}

/// Execution is sequentially consistent: orders matter to the checker, cache hints to nobody.
const std::vector<std::string> kStrong = {".volatile", ".relaxed{.cta,.cluster,.gpu,.sys}",
                                          ".acquire{.cta,.cluster,.gpu,.sys}",
                                          ".release{.cta,.cluster,.gpu,.sys}"};
constexpr const char* kLoadHint =
    "{,.nc,.ca,.cg,.cs,.lu,.cv,.nc.L1::no_allocate,.L1::no_allocate,.L1::evict_last,"
    ".L1::evict_first,.nc.L2::128B,.nc.L2::256B,.nc.L1::no_allocate.L2::128B,"
    ".nc.L1::no_allocate.L2::256B}";
constexpr const char* kStoreHint = "{,.wb,.cg,.cs,.wt,.L1::no_allocate}";

/// Registers may be wider than what they hold.
template <class T>
void add_loads(OpTable& table, const std::string& name, const std::string& types, Flow flow) {
  const std::string to = sizeof(T) < 8 ? "X" : "D";
  table.add(name + "." + types, (to + "a").c_str(), load<T, 1>, flow);
  table.add(name + ".v2." + types, ("(" + to + to + ")a").c_str(), load<T, 2>, flow);
  if constexpr (sizeof(T) < 8) {
    table.add(name + ".v4." + types, ("(" + to + to + to + to + ")a").c_str(), load<T, 4>, flow);
  }
}
template <class T>
void add_stores(OpTable& table, const std::string& name, const std::string& types) {
  const std::string from = sizeof(T) < 8 ? "x" : "d";
  table.add(name + "." + types, ("a" + from).c_str(), store<T, 1>);
  table.add(name + ".v2." + types, ("a(" + from + from + ")").c_str(), store<T, 2>);
  if constexpr (sizeof(T) < 8) {
    table.add(name + ".v4." + types, ("a(" + from + from + from + from + ")").c_str(), store<T, 4>);
  }
}

template <class T>
void add(OpTable& table, const std::string& types) {
  for (const std::string space : {"", ".shared", ".shared::cta", ".shared::cluster", ".local"}) {
    add_loads<T>(table, "ld" + space, types, Flow::Next);
    add_stores<T>(table, "st" + space, types);
  }
  add_loads<T>(table, "ld.param", types, Flow::Next);
  add_loads<T>(table, std::string("ld.{global,const}") + kLoadHint, types, Flow::Next);
  add_stores<T>(table, std::string("st.global") + kStoreHint, types);
  for (const std::string& strong : kStrong) {
    const std::string name = strong + "{,.global,.shared,.shared::cta,.shared::cluster,.local}";
    if (strong.find("release") == strong.npos) add_loads<T>(table, "ld" + name, types, Flow::Poll);
    if (strong.find("acquire") == strong.npos) add_stores<T>(table, "st" + name, types);
  }
}

}  // namespace

void add_memory_ops(OpTable& table) {
  add<uint8_t>(table, "{b8,u8}");
  add<int8_t>(table, "s8");
  add<uint16_t>(table, "{b16,u16}");
  add<int16_t>(table, "s16");
  add<uint32_t>(table, "{b32,u32,f32}");
  add<int32_t>(table, "s32");
  add<uint64_t>(table, "{b64,u64,s64,f64}");
}

}  // namespace prospect::emulator
