// Logic, shifts, counts and permutations of bits.
#include <algorithm>
#include <bit>
#include <type_traits>

#include "tests/emulator/op_table.h"
#include "tests/emulator/warp.h"

namespace prospect::emulator {
namespace {

template <class T>
T shift_right(T value, uint32_t count) {
  constexpr uint32_t kBits = 8 * sizeof(T);
  if (count >= kBits) return static_cast<T>(std::is_signed_v<T> && value < 0 ? -1 : 0);
  return static_cast<T>(value >> count);
}

/// Shifts come with counts of 32 bits, whatever they shift.
template <class U>
void add_shifts(OpTable& table, const std::string& bits, const char* letters) {
  using S = std::make_signed_t<U>;
  table.add(
      "shl.b" + bits, letters,
      map2<U, U, uint32_t, [](U a, uint32_t n) { return static_cast<U>(n >= 8 * sizeof(U) ? 0 : a << n); }>);
  table.add("shr.{b" + bits + ",u" + bits + "}", letters,
            map2<U, U, uint32_t, [](U a, uint32_t n) { return shift_right<U>(a, n); }>);
  table.add("shr.s" + bits, letters,
            map2<S, S, uint32_t, [](S a, uint32_t n) { return shift_right<S>(a, n); }>);
}

template <class U>
void add_logic(OpTable& table, const std::string& bits, const char* unary, const char* binary) {
  table.add("and.b" + bits, binary, map2<U, U, U, [](U a, U b) { return static_cast<U>(a & b); }>);
  table.add("or.b" + bits, binary, map2<U, U, U, [](U a, U b) { return static_cast<U>(a | b); }>);
  table.add("xor.b" + bits, binary, map2<U, U, U, [](U a, U b) { return static_cast<U>(a ^ b); }>);
  table.add("not.b" + bits, unary, map1<U, U, [](U a) { return static_cast<U>(~a); }>);
}

template <class U>
void add_counts(OpTable& table, const std::string& bits, const char* to_word, const char* unary) {
  table.add("popc.b" + bits, to_word, map1<uint32_t, U, [](U a) { return std::popcount(a); }>);
  table.add("clz.b" + bits, to_word, map1<uint32_t, U, [](U a) { return std::countl_zero(a); }>);
  table.add("brev.b" + bits, unary, map1<U, U, [](U a) {
              U reversed = 0;
              for (size_t i = 0; i < 8 * sizeof(U); ++i)
                reversed = static_cast<U>(reversed << 1 | (a >> i & 1));
              return reversed;
            }>);
  table.add("bfind.u" + bits, to_word, map1<uint32_t, U, [](U a) {
              return a == 0 ? 0xffffffffu
                            : static_cast<uint32_t>(8 * sizeof(U) - 1) -
                                  static_cast<uint32_t>(std::countl_zero(a));
            }>);
  // How far to the left the highest bit is from the top.
  table.add("bfind.shiftamt.u" + bits, to_word, map1<uint32_t, U, [](U a) {
              return a == 0 ? 0xffffffffu : static_cast<uint32_t>(std::countl_zero(a));
            }>);
}

/// Four bytes picked from eight by the nibbles of the selector; its bit 3 spreads the byte's sign.
uint32_t permute(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t all = uint64_t{b} << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t pick = selector >> (4 * i) & 15;
    uint32_t byte = static_cast<uint32_t>(all >> (8 * (pick & 7))) & 0xff;
    if ((pick & 8) != 0) byte = (byte & 0x80) != 0 ? 0xff : 0;
    result |= byte << (8 * i);
  }
  return result;
}

/// Bit i of the table says what the operands' bits with pattern i give.
void lookup(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  for (LaneMask left = lanes; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    const auto at = [&](size_t i) { return static_cast<uint32_t>(warp.read(instruction.operands[i], lane)); };
    const uint32_t a = at(1), b = at(2), c = at(3), table = at(4);
    uint32_t result = 0;
    for (int i = 0; i < 8; ++i) {
      if ((table >> i & 1) != 0)
        result |= ((i & 4) != 0 ? a : ~a) & ((i & 2) != 0 ? b : ~b) & ((i & 1) != 0 ? c : ~c);
    }
    warp.write(instruction.operands[0], lane, result);
  }
}

/// Requires: T is signed where the instruction is.
template <class T>
T extract_field(T value, uint32_t begin, uint32_t length) {
  constexpr uint32_t kBits = 8 * sizeof(T);
  begin &= 0xff, length = std::min(length & 0xff, kBits);
  if (length == 0) return 0;
  // Beyond the top lie zeros, or copies of the sign.
  const T shifted = shift_right<T>(value, begin);
  const T high = static_cast<T>(static_cast<std::make_unsigned_t<T>>(shifted) << (kBits - length));
  return static_cast<T>(high >> (kBits - length));
}

template <class T>
T insert_field(T field, T into, uint32_t begin, uint32_t length) {
  constexpr uint32_t kBits = 8 * sizeof(T);
  begin &= 0xff, length = std::min(length & 0xff, kBits);
  if (begin >= kBits || length == 0) return into;
  const T mask = (length == kBits ? ~T{0} : (T{1} << length) - 1) << begin;
  return (into & ~mask) | (field << begin & mask);
}

template <class T>
void insert(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  for (LaneMask left = lanes; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    const auto at = [&](size_t i) { return warp.read(instruction.operands[i], lane); };
    warp.write(instruction.operands[0], lane,
               insert_field(static_cast<T>(at(1)), static_cast<T>(at(2)), static_cast<uint32_t>(at(3)),
                            static_cast<uint32_t>(at(4))));
  }
}

template <bool left, bool wrap>
uint32_t funnel(uint32_t low, uint32_t high, uint32_t count) {
  const uint64_t both = uint64_t{high} << 32 | low;
  count = wrap ? count & 31 : std::min(count, 32u);
  return static_cast<uint32_t>(left ? (both << count) >> 32 : both >> count);
}

}  // namespace

void add_bit_ops(OpTable& table) {
  using u32 = uint32_t;
  add_logic<uint16_t>(table, "16", "Hh", "Hhh");
  add_logic<uint32_t>(table, "32", "Ww", "Www");
  add_logic<uint64_t>(table, "64", "Dd", "Ddd");
  add_shifts<uint16_t>(table, "16", "Hhw");
  add_shifts<uint32_t>(table, "32", "Www");
  add_shifts<uint64_t>(table, "64", "Ddw");
  add_counts<uint32_t>(table, "32", "Ww", "Ww");
  add_counts<uint64_t>(table, "64", "Wd", "Dd");
  table.add("shf.l.wrap.b32", "Wwww", map3<u32, u32, u32, u32, funnel<true, true>>);
  table.add("shf.l.clamp.b32", "Wwww", map3<u32, u32, u32, u32, funnel<true, false>>);
  table.add("shf.r.wrap.b32", "Wwww", map3<u32, u32, u32, u32, funnel<false, true>>);
  table.add("shf.r.clamp.b32", "Wwww", map3<u32, u32, u32, u32, funnel<false, false>>);
  table.add("prmt.b32", "Wwww", map3<u32, u32, u32, u32, permute>);
  table.add("bfe.u32", "Wwww", map3<u32, u32, u32, u32, extract_field<uint32_t>>);
  table.add("bfe.s32", "Wwww", map3<int32_t, int32_t, u32, u32, extract_field<int32_t>>);
  table.add("bfe.u64", "Ddww", map3<uint64_t, uint64_t, u32, u32, extract_field<uint64_t>>);
  table.add("bfi.b32", "Wwwww", insert<u32>);
  table.add("bfi.b64", "Dddww", insert<uint64_t>);
  table.add("lop3.b32", "Wwwww", lookup);
}

}  // namespace prospect::emulator
