// Floating point. The approximate instructions of the hardware are computed exactly and rounded: they differ
// from it in the last bits, and tolerances of tests must allow for that.
#include <bit>
#include <cmath>
#include <limits>

#include "tests/emulator/op_table.h"
#include "tests/emulator/warp.h"

namespace prospect::emulator {
namespace {

/// The register of a float or double, and back: vector loops over plain words.
template <class F>
using Word = std::conditional_t<sizeof(F) == 4, uint32_t, uint64_t>;
template <class F, auto function>
Word<F> on1(Word<F> a) {
  return std::bit_cast<Word<F>>(static_cast<F>(function(std::bit_cast<F>(a))));
}
template <class F, auto function>
Word<F> on2(Word<F> a, Word<F> b) {
  return std::bit_cast<Word<F>>(static_cast<F>(function(std::bit_cast<F>(a), std::bit_cast<F>(b))));
}
template <class F>
Word<F> multiply_add(Word<F> a, Word<F> b, Word<F> c) {
  return std::bit_cast<Word<F>>(std::fma(std::bit_cast<F>(a), std::bit_cast<F>(b), std::bit_cast<F>(c)));
}

template <class F, auto function>
void unary(OpTable& table, const std::string& spelling) {
  table.add(spelling, sizeof(F) == 4 ? "Ww" : "Dd", map1<Word<F>, Word<F>, on1<F, function>>);
}
template <class F, auto function>
void binary(OpTable& table, const std::string& spelling) {
  table.add(spelling, sizeof(F) == 4 ? "Www" : "Ddd", map2<Word<F>, Word<F>, Word<F>, on2<F, function>>);
}

/// A NaN loses against a number.
template <class F>
F least(F a, F b) {
  return std::isnan(a) ? b : std::isnan(b) ? a : a < b || (a == b && std::signbit(a)) ? a : b;
}
template <class F>
F most(F a, F b) {
  return std::isnan(a) ? b : std::isnan(b) ? a : a > b || (a == b && !std::signbit(a)) ? a : b;
}

template <class F>
void add_width(OpTable& table, const std::string& type) {
  binary<F, [](F a, F b) { return a + b; }>(table, "add{,.rn}." + type);
  binary<F, [](F a, F b) { return a - b; }>(table, "sub{,.rn}." + type);
  binary<F, [](F a, F b) { return a * b; }>(table, "mul{,.rn}." + type);
  binary<F, [](F a, F b) { return a / b; }>(table, "div.rn." + type);
  binary<F, least<F>>(table, "min." + type);
  binary<F, most<F>>(table, "max." + type);
  unary<F, [](F a) { return 1 / a; }>(table, "rcp.rn." + type);
  unary<F, [](F a) { return std::sqrt(a); }>(table, "sqrt.rn." + type);
  using W = Word<F>;
  constexpr W kSign = W{1} << (8 * sizeof(W) - 1);
  const bool is_single = sizeof(F) == 4;
  table.add("neg." + type, is_single ? "Ww" : "Dd", map1<W, W, [](W a) { return a ^ kSign; }>);
  table.add("abs." + type, is_single ? "Ww" : "Dd", map1<W, W, [](W a) { return a & ~kSign; }>);
  table.add("copysign." + type, is_single ? "Www" : "Ddd",
            map2<W, W, W, [](W sign, W magnitude) { return (sign & kSign) | (magnitude & ~kSign); }>);
  table.add("fma.rn." + type, is_single ? "Wwww" : "Dddd", map3<W, W, W, W, multiply_add<F>>);
}

/// Subnormal numbers become zeros of the same sign.
float flush(float a) {
  return std::fpclassify(a) == FP_SUBNORMAL ? std::copysign(0.0f, a) : a;
}

/// a b + c rounded down. The product is exact in double, and what its sum with c loses is known exactly.
float multiply_add_down(float a, float b, float c) {
  const double product = static_cast<double>(a) * b, sum = product + c;
  const double added = sum - product, lost = (product - (sum - added)) + (c - added);
  const auto nearest = static_cast<float>(sum);
  const bool is_above = nearest > sum || (nearest == sum && lost < 0);
  return is_above ? std::nextafter(nearest, -std::numeric_limits<float>::infinity()) : nearest;
}

/// 1 / a from and to the upper halves of doubles, subnormal numbers as zeros; code refines it.
uint64_t upper_reciprocal(uint64_t a) {
  constexpr uint64_t kSign = 1ull << 63, kUpper = 0xffffffffull << 32, kExponent = 0x7ffull << 52;
  const auto flushed = [](uint64_t x) { return (x & kExponent) == 0 ? x & kSign : x; };
  const double quotient = 1 / std::bit_cast<double>(flushed(a) & kUpper);
  return flushed(std::bit_cast<uint64_t>(quotient)) & kUpper;
}

}  // namespace

void add_float_ops(OpTable& table) {
  add_width<float>(table, "f32");
  add_width<double>(table, "f64");
  binary<float, [](float a, float b) { return std::isnan(a) || std::isnan(b) ? NAN : least(a, b); }>(
      table, "min.NaN.f32");
  binary<float, [](float a, float b) { return std::isnan(a) || std::isnan(b) ? NAN : most(a, b); }>(
      table, "max.NaN.f32");
  binary<float, [](float a, float b) { return a / b; }>(table, "div.{approx,full}.f32");
  binary<float, [](float a, float b) { return flush(flush(a) / flush(b)); }>(table,
                                                                             "div.{approx,full}.ftz.f32");
  binary<float, [](float a, float b) { return flush(flush(a) * flush(b)); }>(table, "mul.ftz.f32");
  table.add("fma.rm.f32", "Wwww", map3<float, float, float, float, multiply_add_down>);
  unary<float, [](float a) { return 1 / a; }>(table, "rcp.approx.f32");
  unary<float, [](float a) { return flush(1 / flush(a)); }>(table, "rcp.approx.ftz.f32");
  table.add("rcp.approx.ftz.f64", "Dd", map1<uint64_t, uint64_t, upper_reciprocal>);
  unary<float, [](float a) { return std::sqrt(a); }>(table, "sqrt.approx.f32");
  unary<float, [](float a) { return 1 / std::sqrt(a); }>(table, "rsqrt.approx.f32");
  unary<float, [](float a) { return flush(1 / std::sqrt(flush(a))); }>(table, "rsqrt.approx.ftz.f32");
  unary<float, [](float a) { return std::exp2(a); }>(table, "ex2.approx.f32");
  unary<float, [](float a) { return flush(std::exp2(flush(a))); }>(table, "ex2.approx.ftz.f32");
  unary<float, [](float a) { return std::log2(a); }>(table, "lg2.approx.f32");
  unary<float, [](float a) { return flush(std::log2(flush(a))); }>(table, "lg2.approx.ftz.f32");
  unary<float, [](float a) { return std::sin(a); }>(table, "sin.approx.f32");
  unary<float, [](float a) { return std::cos(a); }>(table, "cos.approx.f32");
  unary<float, [](float a) { return std::tanh(a); }>(table, "tanh.approx.f32");
}

}  // namespace prospect::emulator
