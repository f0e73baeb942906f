#pragma once

#include <bit>
#include <cstdint>

namespace prospect {

/// bfloat16 storage: the upper half of a float. Arithmetic happens in float.
struct bf16 {
  uint16_t bits = 0;

  bf16() = default;
  /// Rounds to nearest, ties to even; NaN stays NaN.
  explicit bf16(float value) {
    const uint32_t word = std::bit_cast<uint32_t>(value);
    const bool is_nan = (word & 0x7fffffffu) > 0x7f800000u;
    const uint32_t rounded = (word + 0x7fffu + ((word >> 16) & 1u)) >> 16;
    bits = static_cast<uint16_t>(is_nan ? ((word >> 16) | 0x40u) : rounded);
  }
  explicit operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

/// The type in which values of storage type T are computed and accumulated.
template <class T>
struct ComputeType {
  using type = T;
};
template <>
struct ComputeType<bf16> {
  using type = float;
};
template <class T>
using compute_t = typename ComputeType<T>::type;

template <class T>
inline compute_t<T> load(T value) {
  return static_cast<compute_t<T>>(value);
}
/// Rounds `value` into its place: GCC does not vectorise a loop that makes a bf16 and then assigns it.
inline void store(bf16& target, float value) {
  target.bits = bf16(value).bits;
}
inline void store(float& target, float value) {
  target = value;
}
inline void store(double& target, double value) {
  target = value;
}

}  // namespace prospect
