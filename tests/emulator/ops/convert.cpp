// Conversions between types.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/common/bf16.h"
#include "tests/emulator/op_table.h"
#include "tests/emulator/warp.h"

namespace prospect::emulator {
namespace {

template <class T>
constexpr char letter(bool written) {
  const char read = sizeof(T) == 1 ? 'x' : sizeof(T) == 2 ? 'h' : sizeof(T) == 4 ? 'w' : 'd';
  return written ? static_cast<char>(read - 0x20) : read;
}
template <class D, class A>
const char* letters() {
  static const char text[] = {letter<D>(true), letter<A>(false), 0};
  return text;
}
template <class T>
std::string name() {
  return (std::is_floating_point_v<T> ? "f"
          : std::is_signed_v<T>       ? "s"
                                      : "u") +
         std::to_string(8 * sizeof(T));
}

/// What converts integers may read, and bytes stand in, registers that are wider than the type.
template <class D, class A>
void convert_integer(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  if (instruction.operands[0].bits == 8 * sizeof(D) && instruction.operands[1].bits == 8 * sizeof(A)) {
    return map1<D, A, [](A a) { return static_cast<D>(a); }>(warp, instruction, lanes);
  }
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    const auto value = static_cast<D>(static_cast<A>(warp.read(instruction.operands[1], lane)));
    warp.write(instruction.operands[0], lane, static_cast<uint64_t>(static_cast<int64_t>(value)));
  }
}

/// Out of range: the nearest value of the type; NaN: 0.
template <class D, class A, auto round>
D to_integer(A a) {
  if (std::isnan(a)) return 0;
  const A value = round(a);
  if (value >= std::ldexp(A{1}, std::numeric_limits<D>::digits)) return std::numeric_limits<D>::max();
  if (value <= static_cast<A>(std::numeric_limits<D>::min())) return std::numeric_limits<D>::min();
  return static_cast<D>(value);
}

template <class D, class A>
void add_float_to_integer(OpTable& table) {
  const std::string types = "." + name<D>() + "." + name<A>();
  table.add("cvt.rni" + types, letters<D, A>(),
            map1<D, A, to_integer<D, A, [](A a) { return std::nearbyint(a); }>>);
  table.add("cvt.rzi" + types, letters<D, A>(),
            map1<D, A, to_integer<D, A, [](A a) { return std::trunc(a); }>>);
  table.add("cvt.rmi" + types, letters<D, A>(),
            map1<D, A, to_integer<D, A, [](A a) { return std::floor(a); }>>);
  table.add("cvt.rpi" + types, letters<D, A>(),
            map1<D, A, to_integer<D, A, [](A a) { return std::ceil(a); }>>);
}

template <class A, class... D>
void add_from_integer(OpTable& table) {
  (table.add("cvt." + name<D>() + "." + name<A>(), letters<D, uint8_t>(), convert_integer<D, A>), ...);
  table.add("cvt.rn.f32." + name<A>(), "Wx", [](Warp& warp, const Instruction& instruction, LaneMask lanes) {
    for (; lanes != 0; lanes &= lanes - 1) {
      const int lane = std::countr_zero(lanes);
      const auto value = static_cast<A>(warp.read(instruction.operands[1], lane));
      warp.lanes<float>(instruction.operands[0])[lane] = static_cast<float>(value);
    }
  });
  if constexpr (sizeof(A) > 1) {
    table.add("cvt.rn.f64." + name<A>(), letters<double, A>(),
              map1<double, A, [](A a) { return static_cast<double>(a); }>);
    add_float_to_integer<A, float>(table);
    add_float_to_integer<A, double>(table);
  }
}

template <class F, auto round>
void add_rounding(OpTable& table, const std::string& mode) {
  table.add("cvt." + mode + "." + name<F>() + "." + name<F>(), letters<F, F>(), map1<F, F, round>);
}

/// Every NaN becomes the same one.
uint16_t to_bf16(float a) {
  constexpr uint16_t kNan = 0x7fff;
  return std::isnan(a) ? kNan : bf16(a).bits;
}
uint32_t pack(float high, float low) {
  return static_cast<uint32_t>(to_bf16(high)) << 16 | to_bf16(low);
}
/// In [0, 1]; NaN becomes 0.
float saturated(float a) {
  return a > 0 ? std::min(a, 1.0f) : 0.0f;
}
float positive(float a) {
  return a > 0 || std::isnan(a) ? a : 0.0f;
}

}  // namespace

void add_convert_ops(OpTable& table) {
  add_from_integer<uint8_t, uint16_t, int16_t, uint32_t, int32_t, uint64_t, int64_t>(table);
  add_from_integer<int8_t, uint16_t, int16_t, uint32_t, int32_t, uint64_t, int64_t>(table);
  add_from_integer<uint16_t, uint8_t, int8_t, uint32_t, int32_t, uint64_t, int64_t>(table);
  add_from_integer<int16_t, uint8_t, int8_t, uint32_t, int32_t, uint64_t, int64_t>(table);
  add_from_integer<uint32_t, uint8_t, int8_t, uint16_t, int16_t, uint64_t, int64_t>(table);
  add_from_integer<int32_t, uint8_t, int8_t, uint16_t, int16_t, uint64_t, int64_t>(table);
  add_from_integer<uint64_t, uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t>(table);
  add_from_integer<int64_t, uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t>(table);
  add_rounding<float, [](float a) { return std::nearbyint(a); }>(table, "rni");
  add_rounding<float, [](float a) { return std::trunc(a); }>(table, "rzi");
  add_rounding<float, [](float a) { return std::floor(a); }>(table, "rmi");
  add_rounding<float, [](float a) { return std::ceil(a); }>(table, "rpi");
  table.add("cvt.sat.f32.f32", "Ww", map1<float, float, saturated>);
  table.add("cvt.rn.f32.f64", "Wd", map1<float, double, [](double a) { return static_cast<float>(a); }>);
  table.add("cvt.f64.f32", "Dw", map1<double, float, [](float a) { return static_cast<double>(a); }>);
  table.add("cvt.rn.bf16.f32", "Hw", map1<uint16_t, float, to_bf16>);
  table.add("cvt.rn.relu.bf16.f32", "Hw",
            map1<uint16_t, float, [](float a) { return to_bf16(positive(a)); }>);
  table.add("cvt.f32.bf16", "Wh",
            map1<uint32_t, uint16_t, [](uint16_t a) { return static_cast<uint32_t>(a) << 16; }>);
  table.add("cvt.rn.bf16x2.f32", "Www", map2<uint32_t, float, float, pack>);
  table.add("cvt.rn.relu.bf16x2.f32", "Www",
            map2<uint32_t, float, float, [](float a, float b) { return pack(positive(a), positive(b)); }>);
}

}  // namespace prospect::emulator
