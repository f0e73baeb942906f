// Integer arithmetic: results wrap; the sign matters to high halves, division, order and right shifts.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "tests/emulator/op_table.h"
#include "tests/emulator/warp.h"

namespace prospect::emulator {
namespace {

template <class T>
T quotient(T a, T b) {
  if (b == 0) return static_cast<T>(~T{0});
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return static_cast<T>(0 - static_cast<std::make_unsigned_t<T>>(a));
  }
  return static_cast<T>(a / b);
}
template <class T>
T remainder(T a, T b) {
  if (b == 0) return a;
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return 0;
  }
  return static_cast<T>(a % b);
}
template <class T>
T high_half(T a, T b) {
  __extension__ using Wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
  return static_cast<T>(static_cast<Wide>(a) * static_cast<Wide>(b) >> (8 * sizeof(T)));
}
/// A product as wide as needed, without the undefined overflow of promoted 16-bit factors.
template <class T>
T low_half(T a, T b) {
  return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

template <class T>
struct Letters;
template <>
struct Letters<uint16_t> {
  static constexpr const char *kUnary = "Hh", *kBinary = "Hhh", *kTernary = "Hhhh", *kWide = "Whh",
                              *kWideAdd = "Whhw";
};
template <>
struct Letters<uint32_t> {
  static constexpr const char *kUnary = "Ww", *kBinary = "Www", *kTernary = "Wwww", *kWide = "Dww",
                              *kWideAdd = "Dwwd";
};
template <>
struct Letters<uint64_t> {
  static constexpr const char *kUnary = "Dd", *kBinary = "Ddd", *kTernary = "Dddd";
};

/// T: as the instruction's type says, signed or not.
template <class T>
void add_typed(OpTable& table, const std::string& type) {
  using L = Letters<std::make_unsigned_t<T>>;
  table.add("mul.hi." + type, L::kBinary, map2<T, T, T, [](T a, T b) { return high_half(a, b); }>);
  table.add("mad.hi." + type, L::kTernary, map3<T, T, T, T, [](T a, T b, T c) {
              using U = std::make_unsigned_t<T>;
              return static_cast<T>(static_cast<U>(static_cast<U>(high_half(a, b)) + static_cast<U>(c)));
            }>);
  table.add("div." + type, L::kBinary, map2<T, T, T, [](T a, T b) { return quotient(a, b); }>);
  table.add("rem." + type, L::kBinary, map2<T, T, T, [](T a, T b) { return remainder(a, b); }>);
  table.add("min." + type, L::kBinary, map2<T, T, T, [](T a, T b) { return a < b ? a : b; }>);
  table.add("max." + type, L::kBinary, map2<T, T, T, [](T a, T b) { return a < b ? b : a; }>);
}

template <class T, class Wide>
void add_widening(OpTable& table, const std::string& type) {
  using L = Letters<std::make_unsigned_t<T>>;
  table.add(
      "mul.wide." + type, L::kWide,
      map2<Wide, T, T, [](T a, T b) { return low_half<Wide>(static_cast<Wide>(a), static_cast<Wide>(b)); }>);
  table.add("mad.wide." + type, L::kWideAdd, map3<Wide, T, T, Wide, [](T a, T b, Wide c) {
              const Wide product = low_half<Wide>(static_cast<Wide>(a), static_cast<Wide>(b));
              return static_cast<Wide>(static_cast<uint64_t>(product) + static_cast<uint64_t>(c));
            }>);
}

/// What is the same for both signs.
template <class U>
void add_width(OpTable& table, const std::string& bits) {
  using L = Letters<U>;
  using S = std::make_signed_t<U>;
  const std::string either = "{u" + bits + ",s" + bits + "}";
  table.add("add." + either, L::kBinary, map2<U, U, U, [](U a, U b) { return static_cast<U>(a + b); }>);
  table.add("sub." + either, L::kBinary, map2<U, U, U, [](U a, U b) { return static_cast<U>(a - b); }>);
  table.add("mul.lo." + either, L::kBinary, map2<U, U, U, [](U a, U b) { return low_half(a, b); }>);
  table.add("mad.lo." + either, L::kTernary,
            map3<U, U, U, U, [](U a, U b, U c) { return static_cast<U>(low_half(a, b) + c); }>);
  table.add("neg.s" + bits, L::kUnary, map1<U, U, [](U a) { return static_cast<U>(0 - a); }>);
  table.add("abs.s" + bits, L::kUnary,
            map1<U, U, [](U a) { return static_cast<S>(a) < 0 ? static_cast<U>(0 - a) : a; }>);
  add_typed<U>(table, "u" + bits);
  add_typed<S>(table, "s" + bits);
}

}  // namespace

void add_integer_ops(OpTable& table) {
  add_width<uint16_t>(table, "16");
  add_width<uint32_t>(table, "32");
  add_width<uint64_t>(table, "64");
  add_widening<uint16_t, uint32_t>(table, "u16");
  add_widening<int16_t, int32_t>(table, "s16");
  add_widening<uint32_t, uint64_t>(table, "u32");
  add_widening<int32_t, int64_t>(table, "s32");
}

}  // namespace prospect::emulator
