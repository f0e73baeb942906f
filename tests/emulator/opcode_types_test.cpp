// Arithmetic, comparisons and conversions in every type that the table has them for, against the same
// operation on integers of 128 bits or in the host's floating point.
#include <cmath>

#include "tests/emulator/opcode_cases.h"

namespace prospect::emulator {
namespace {

__extension__ using Wide = __int128;
__extension__ using UnsignedWide = unsigned __int128;

struct Type {
  int bits;
  bool is_signed;

  std::string name() const { return (is_signed ? "s" : "u") + std::to_string(bits); }
  /// Of a register that holds it.
  char letter() const { return bits <= 16 ? 'h' : bits == 32 ? 'w' : 'd'; }
  std::string letters(size_t count) const { return std::string(count, letter()); }
  uint64_t cut(Wide value) const {
    return static_cast<uint64_t>(static_cast<UnsignedWide>(value) & ((UnsignedWide{1} << bits) - 1));
  }
  Wide value(uint64_t raw) const {
    const UnsignedWide low = static_cast<UnsignedWide>(cut(static_cast<Wide>(raw)));
    const bool is_negative = is_signed && (low >> (bits - 1) & 1) != 0;
    return static_cast<Wide>(low) - (is_negative ? static_cast<Wide>(UnsignedWide{1} << bits) : 0);
  }
  uint64_t least() const { return uint64_t{1} << (bits - 1); }
  uint64_t ones() const { return cut(-1); }
  /// Pairs that wrap, change their sign or do neither.
  std::vector<std::pair<uint64_t, uint64_t>> pairs() const {
    return {{7, 2}, {ones(), 3}, {least(), ones()}, {least() - 1, least() - 1}, {5, 5}};
  }
};
constexpr Type kTypes[] = {{16, false}, {16, true}, {32, false}, {32, true}, {64, false}, {64, true}};
constexpr Type kBytes[] = {{8, false}, {8, true}};

TEST(OpcodeTypes, IntegerArithmetic) {
  for (const Type& type : kTypes) {
    const std::string t = "." + type.name();
    std::vector<Case> cases;
    const auto add = [&](const char* name, std::vector<uint64_t> operands, Wide result) {
      cases.push_back({name + t, type.letters(operands.size() + 1), operands, type.cut(result)});
    };
    for (const auto& [a, b] : type.pairs()) {
      const Wide x = type.value(a), y = type.value(b);
      const UnsignedWide all = static_cast<UnsignedWide>(x) * static_cast<UnsignedWide>(y);
      const auto product = static_cast<Wide>(all);
      const Wide high = type.is_signed ? product >> type.bits : static_cast<Wide>(all >> type.bits);
      add("add", {a, b}, x + y);
      add("sub", {a, b}, x - y);
      add("mul.lo", {a, b}, product);
      add("mad.lo", {a, b, 9}, product + 9);
      add("mul.hi", {a, b}, high);
      add("mad.hi", {a, b, 9}, high + 9);
      add("div", {a, b}, x / y);
      add("rem", {a, b}, x % y);
      add("min", {a, b}, std::min(x, y));
      add("max", {a, b}, std::max(x, y));
      if (type.is_signed) add("neg", {a}, -x);
      if (type.is_signed) add("abs", {a}, x < 0 ? -x : x);
      if (type.bits > 32) continue;
      const Type twice{2 * type.bits, type.is_signed};
      const std::string letters = twice.letters(1) + type.letters(2);
      cases.push_back({"mul.wide" + t, letters, {a, b}, twice.cut(product)});
      cases.push_back({"mad.wide" + t, letters + twice.letter(), {a, b, 9}, twice.cut(product + 9)});
    }
    check(cases);
  }
}

TEST(OpcodeTypes, LogicAndShifts) {
  for (const auto& [bits, letter] : {std::pair<const char*, char>{"32", 'w'}, {"64", 'd'}}) {
    const Type type{std::stoi(bits), false};
    const uint64_t top = static_cast<uint64_t>(type.bits) - 1, none = kMinus1;
    for (const auto& [a, from_top] : {std::pair<uint64_t, uint64_t>{type.least(), 0}, {6, top - 2}}) {
      check({{std::string("bfind.u") + bits, {'w', letter}, {a}, top - from_top},
             {std::string("bfind.shiftamt.u") + bits, {'w', letter}, {a}, from_top}});
    }
    check({{std::string("bfind.u") + bits, {'w', letter}, {0}, none},
           {std::string("bfind.shiftamt.u") + bits, {'w', letter}, {0}, none}});
  }
  for (const Type& type : kTypes) {
    const std::string t = type.is_signed ? ".s" : ".u", bits = std::to_string(type.bits);
    const auto most = static_cast<uint64_t>(type.bits);
    std::vector<Case> cases;
    for (const uint64_t count : {uint64_t{0}, uint64_t{3}, most - 1, most, most + 9}) {
      const uint64_t a = type.least() | 0x5a;
      const Wide x = type.value(a);
      const std::string letters = type.letters(2) + "w";
      const uint64_t right = type.cut(count >= most ? (x < 0 ? -1 : 0) : x >> count);
      cases.push_back({"shr" + t + bits, letters, {a, count}, right});
      if (type.is_signed) continue;
      cases.push_back({"shr.b" + bits, letters, {a, count}, right});
      cases.push_back({"shl.b" + bits, letters, {a, count}, count >= most ? 0 : type.cut(x << count)});
    }
    for (const auto& [a, b] : type.pairs()) {
      if (type.is_signed) break;
      cases.push_back({"and.b" + bits, type.letters(3), {a, b}, a & b});
      cases.push_back({"or.b" + bits, type.letters(3), {a, b}, a | b});
      cases.push_back({"xor.b" + bits, type.letters(3), {a, b}, a ^ b});
      cases.push_back({"not.b" + bits, type.letters(2), {a}, type.cut(~static_cast<Wide>(a))});
    }
    check(cases);
  }
}

/// `name` with .and, .or and .xor too, each with both values of the predicate.
void add_comparison(std::vector<Case>& cases, const std::string& name, const std::string& type, char letter,
                    uint64_t a, uint64_t b, bool expected) {
  const std::string letters = {'p', letter, letter};
  cases.push_back({"setp." + name + type, letters, {a, b}, expected});
  for (const bool other : {false, true}) {
    const std::vector<uint64_t> operands = {a, b, other};
    cases.push_back({"setp." + name + ".and" + type, letters + "p", operands, expected && other});
    cases.push_back({"setp." + name + ".or" + type, letters + "p", operands, expected || other});
    cases.push_back({"setp." + name + ".xor" + type, letters + "p", operands, expected != other});
  }
}

TEST(OpcodeTypes, IntegerComparisons) {
  for (const Type& type : kTypes) {
    std::vector<Case> cases;
    for (const auto& [a, b] : type.pairs()) {
      const Wide x = type.value(a), y = type.value(b);
      const auto add = [&, a = a, b = b](const char* name, bool expected) {
        add_comparison(cases, name, "." + type.name(), type.letter(), a, b, expected);
      };
      add("eq", x == y), add("ne", x != y);
      add("lt", x < y), add("le", x <= y), add("gt", x > y), add("ge", x >= y);
      if (type.is_signed) continue;
      add("lo", x < y), add("ls", x <= y), add("hi", x > y), add("hs", x >= y);
      const std::string bits = ".b" + std::to_string(type.bits);
      add_comparison(cases, "eq", bits, type.letter(), a, b, x == y);
      add_comparison(cases, "ne", bits, type.letter(), a, b, x != y);
    }
    check(cases);
  }
}

template <class F>
void check_float_comparisons(const char* type, char letter, uint64_t (*bits)(F)) {
  const auto nan = static_cast<F>(kNan);
  for (const auto& [a, b] : {std::pair<F, F>{1, 2}, {2, 1}, {F{0}, F{-0.0}}, {1, nan}, {nan, nan}}) {
    std::vector<Case> cases;
    const bool is_unordered = std::isnan(a) || std::isnan(b);
    const auto add = [&, a = a, b = b](const std::string& name, bool expected) {
      add_comparison(cases, name, type, letter, bits(a), bits(b), expected && !is_unordered);
      add_comparison(cases, name + "u", type, letter, bits(a), bits(b), expected || is_unordered);
    };
    add("eq", a == b), add("ne", a != b), add("lt", a < b);
    add("le", a <= b), add("gt", a > b), add("ge", a >= b);
    add_comparison(cases, "num", type, letter, bits(a), bits(b), !is_unordered);
    add_comparison(cases, "nan", type, letter, bits(a), bits(b), is_unordered);
    check(cases);
  }
}

TEST(OpcodeTypes, FloatComparisons) {
  check_float_comparisons<float>(".f32", 'w', f);
  check_float_comparisons<double>(".f64", 'd', d);
}

TEST(OpcodeTypes, MovesAndChoices) {
  std::vector<Case> cases;
  for (const auto& [letter, types] : {std::pair<char, std::vector<const char*>>{'h', {"b16", "u16", "s16"}},
                                      {'w', {"b32", "u32", "s32", "f32"}},
                                      {'d', {"b64", "u64", "s64", "f64"}}}) {
    for (const std::string type : types) {
      cases.push_back({"mov." + type, {letter, letter}, {0x8001}, 0x8001});
      cases.push_back({"selp." + type, {letter, letter, letter, 'p'}, {3, 4, 0}, 4});
      cases.push_back({"selp." + type, {letter, letter, letter, 'p'}, {3, 4, 1}, 3});
    }
  }
  for (const uint64_t value : {0u, 1u}) cases.push_back({"mov.pred", "pp", {value}, value});
  check(cases);
}

/// From and to registers that are as wide as the type, bytes in wider ones.
TEST(OpcodeTypes, IntegersBecomeIntegers) {
  std::vector<Type> types(std::begin(kTypes), std::end(kTypes));
  types.insert(types.begin(), std::begin(kBytes), std::end(kBytes));
  std::vector<Case> cases;
  for (const Type& from : types) {
    for (const Type& to : types) {
      if (from.bits == to.bits) continue;
      const Type whole{to.bits == 8 ? 16 : to.bits, true};  // the register
      for (const uint64_t a : {uint64_t{0x1234567887654381}, from.least(), uint64_t{0x7f}}) {
        const uint64_t result = whole.cut(to.value(to.cut(from.value(a))));
        cases.push_back(
            {"cvt." + to.name() + "." + from.name(), {whole.letter(), from.letter()}, {a}, result});
      }
    }
  }
  check(cases);
}

TEST(OpcodeTypes, IntegersBecomeFloats) {
  std::vector<Case> cases;
  const auto add = [&](const Type& type) {
    for (const uint64_t a : {type.ones(), type.least(), type.least() - 1, uint64_t{3}}) {
      const Wide value = type.value(a);
      const std::string from = "." + type.name();
      cases.push_back({"cvt.rn.f32" + from, {'w', type.letter()}, {a}, f(static_cast<float>(value))});
      if (type.bits > 8) {
        cases.push_back({"cvt.rn.f64" + from, {'d', type.letter()}, {a}, d(static_cast<double>(value))});
      }
    }
  };
  for (const Type& type : kBytes) add(type);
  for (const Type& type : kTypes) add(type);
  check(cases);
}

struct Rounding {
  const char* name;
  double (*round)(double);
};
constexpr Rounding kRoundings[] = {{"rni", [](double x) { return std::nearbyint(x); }},
                                   {"rzi", [](double x) { return std::trunc(x); }},
                                   {"rmi", [](double x) { return std::floor(x); }},
                                   {"rpi", [](double x) { return std::ceil(x); }}};

TEST(OpcodeTypes, FloatsBecomeIntegersOfTheirRange) {
  for (const Type& type : kTypes) {
    const Wide most = type.is_signed ? Wide{1} << (type.bits - 1) : Wide{1} << type.bits;
    const Wide least = type.is_signed ? -most : 0;
    std::vector<Case> cases;
    for (const Rounding& rounding : kRoundings) {
      for (const double a : {2.5, -2.5, 3.5, -0.25, 70000.75, -1e30, 1e30}) {
        const double rounded = rounding.round(a);
        const Wide value = rounded >= static_cast<double>(most)    ? most - 1
                           : rounded <= static_cast<double>(least) ? least
                                                                   : static_cast<Wide>(rounded);
        const std::string name = std::string("cvt.") + rounding.name + "." + type.name();
        const auto single = static_cast<float>(a);
        cases.push_back({name + ".f32", {type.letter(), 'w'}, {f(single)}, type.cut(value)});
        cases.push_back({name + ".f64", {type.letter(), 'd'}, {d(a)}, type.cut(value)});
      }
    }
    check(cases);
  }
}

TEST(OpcodeTypes, FloatsAreRoundedToWholeNumbers) {
  std::vector<Case> cases;
  for (const Rounding& rounding : kRoundings) {
    for (const double a : {2.5, -2.5, 3.75, -0.25, 1e30}) {
      const auto rounded = static_cast<float>(rounding.round(static_cast<double>(static_cast<float>(a))));
      cases.push_back(
          {std::string("cvt.") + rounding.name + ".f32.f32", "ww", {f(static_cast<float>(a))}, f(rounded)});
    }
  }
  check(cases);
}

/// Both widths of what IEEE 754 defines, and the second spelling of what rounds to nearest anyway.
template <class F>
void check_float_arithmetic(const std::string& type, char letter, uint64_t (*bits)(F)) {
  std::vector<Case> cases;
  const auto add = [&](const std::string& name, std::vector<F> operands, F result) {
    std::vector<uint64_t> raw;
    for (const F each : operands) raw.push_back(bits(each));
    cases.push_back({name + type, std::string(operands.size() + 1, letter), raw, bits(result)});
  };
  for (const auto& [a, b] : {std::pair<F, F>{F{1}, F{3}}, {F{-7.25}, F{0.1}}, {F{1e30}, F{-1e30}}}) {
    for (const char* rounding : {"", ".rn"}) {
      add(std::string("add") + rounding, {a, b}, a + b);
      add(std::string("sub") + rounding, {a, b}, a - b);
      add(std::string("mul") + rounding, {a, b}, a * b);
    }
    add("div.rn", {a, b}, a / b);
    add("fma.rn", {a, b, a}, std::fma(a, b, a));
    add("min", {a, b}, std::min(a, b));
    add("max", {a, b}, std::max(a, b));
    add("neg", {a}, -a);
    add("abs", {a}, std::abs(a));
    add("copysign", {b, a}, std::copysign(a, b));
    add("rcp.rn", {a}, 1 / a);
    add("sqrt.rn", {std::abs(a)}, std::sqrt(std::abs(a)));
  }
  check(cases);
}

TEST(OpcodeTypes, FloatArithmetic) {
  check_float_arithmetic<float>(".f32", 'w', f);
  check_float_arithmetic<double>(".f64", 'd', d);
}

/// Where the result is exact, so that no approximation differs; and what .ftz does to subnormal numbers.
TEST(OpcodeTypes, ApproximationsOfExactResults) {
  constexpr float kTiny = 0x1p-130f, kInfinity = std::numeric_limits<float>::infinity();
  check({{"div.approx.f32", "www", {f(9), f(3)}, f(3)},
         {"div.approx.ftz.f32", "www", {f(kTiny), f(3)}, f(0)},
         {"div.full.ftz.f32", "www", {f(9), f(3)}, f(3)},
         {"rcp.approx.f32", "ww", {f(4)}, f(0.25f)},
         {"rcp.approx.ftz.f32", "ww", {f(-kTiny)}, f(-kInfinity)},
         {"sqrt.approx.f32", "ww", {f(9)}, f(3)},
         {"rsqrt.approx.f32", "ww", {f(16)}, f(0.25f)},
         {"rsqrt.approx.ftz.f32", "ww", {f(kTiny)}, f(kInfinity)},
         {"ex2.approx.f32", "ww", {f(-130)}, f(kTiny)},
         {"lg2.approx.f32", "ww", {f(kTiny)}, f(-130)},
         {"lg2.approx.ftz.f32", "ww", {f(kTiny)}, f(-kInfinity)},
         {"min.NaN.f32", "www", {f(2), f(3)}, f(2)},
         {"min.NaN.f32", "www", {f(2), f(kNan)}, f(kNan)},
         {"max.NaN.f32", "www", {f(2), f(3)}, f(3)},
         {"max.NaN.f32", "www", {f(kNan), f(2)}, f(kNan)}});
}

}  // namespace
}  // namespace prospect::emulator
