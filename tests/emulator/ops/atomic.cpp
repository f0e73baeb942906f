// Atomics: lanes one after another, as execution is sequentially consistent.
#include <algorithm>
#include <bit>
#include <cstring>

#include "tests/emulator/op_table.h"
#include "tests/emulator/requests.h"
#include "tests/emulator/warp.h"

namespace prospect::emulator {
namespace {

/// `returns`: operands are the old value's register, address, b and perhaps c; else address and b.
template <class T, auto update, bool returns>
void atomic(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  constexpr size_t first = returns ? 1 : 0;
  const Operand& address = instruction.operands[first];
  count_request(warp, instruction, lanes, instruction.space, address, sizeof(T), Access::Atomic);
  uint64_t found = 0;
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    const auto word = [&](size_t i) {
      const uint64_t bits = i < instruction.operands.size() ? warp.read(instruction.operands[i], lane) : 0;
      T value;
      std::memcpy(&value, &bits, sizeof(T));
      return value;
    };
    std::byte* at = warp.reach(instruction, lane, instruction.space,
                               warp.read(address, lane) + static_cast<uint64_t>(address.offset), sizeof(T),
                               Access::Atomic);
    T old;
    std::memcpy(&old, at, sizeof(T));
    uint64_t bits = 0;
    std::memcpy(&bits, &old, sizeof(T));
    found = found * 31 + bits;
    const T fresh = static_cast<T>(update(old, word(first + 1), word(first + 2)));
    std::memcpy(at, &fresh, sizeof(T));
    if constexpr (returns) warp.write(instruction.operands[0], lane, bits);
  }
  if constexpr (returns) warp.note_poll(instruction, found);
}

template <class T, auto update>
void add(OpTable& table, const std::string& name, bool compares = false) {
  constexpr bool is_word = sizeof(T) == 4;
  const std::string where =
      "{,.cta,.cluster,.gpu,.sys}{,.global,.shared,.shared::cta,.shared::cluster}" + name;
  table.add("atom{,.relaxed,.acquire,.release,.acq_rel}" + where,
            compares ? (is_word ? "Waww" : "Dadd") : (is_word ? "Waw" : "Dad"), atomic<T, update, true>,
            Flow::Poll);
  if (!compares)
    table.add("red{,.relaxed,.release}" + where, is_word ? "aw" : "ad", atomic<T, update, false>);
}

template <class T>
void add_bitwise(OpTable& table, const std::string& type) {
  add<T, [](T a, T b, T) { return a & b; }>(table, ".and" + type);
  add<T, [](T a, T b, T) { return a | b; }>(table, ".or" + type);
  add<T, [](T a, T b, T) { return a ^ b; }>(table, ".xor" + type);
  add<T, [](T, T b, T) { return b; }>(table, ".exch" + type);
  add<T, [](T a, T b, T c) { return a == b ? c : a; }>(table, ".cas" + type, true);
}

template <class T>
void add_order(OpTable& table, const std::string& type) {
  add<T, [](T a, T b, T) { return std::min(a, b); }>(table, ".min" + type);
  add<T, [](T a, T b, T) { return std::max(a, b); }>(table, ".max" + type);
}

}  // namespace

void add_atomic_ops(OpTable& table) {
  // As the barrier of cooperative_groups spells it.
  table.add("atom.add.{relaxed,acquire,release,acq_rel}.{cta,gpu,sys}.u32", "Waw",
            atomic<uint32_t, [](uint32_t a, uint32_t b, uint32_t) { return a + b; }, true>, Flow::Poll);
  add_bitwise<uint32_t>(table, ".b32");
  add_bitwise<uint64_t>(table, ".b64");
  add_order<uint32_t>(table, ".u32");
  add_order<int32_t>(table, ".s32");
  add_order<uint64_t>(table, ".u64");
  add_order<int64_t>(table, ".s64");
  add<uint32_t, [](uint32_t a, uint32_t b, uint32_t) { return a + b; }>(table, ".add.{u32,s32}");
  add<uint64_t, [](uint64_t a, uint64_t b, uint64_t) { return a + b; }>(table, ".add.u64");
  add<float, [](float a, float b, float) { return a + b; }>(table, ".add.f32");
  add<double, [](double a, double b, double) { return a + b; }>(table, ".add.f64");
  add<uint32_t, [](uint32_t a, uint32_t b, uint32_t) { return a >= b ? 0 : a + 1; }>(table, ".inc.u32");
}

}  // namespace prospect::emulator
