#pragma once

#include <bit>
#include <cstdint>

namespace prospect {

/// IEEE binary16 to float: exact, subnormals, infinities and NaN included. The bits of the half, moved to
/// their place in a float, have an exponent that is too small by 112, subnormals too: one product mends both.
inline float half_to_float(uint16_t half) {
  const uint32_t magnitude = (half & 0x7fffu) << 13;
  const uint32_t scaled = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);
  const uint32_t special = magnitude >= (0x7c00u << 13) ? 0x7f800000u | magnitude : scaled;
  return std::bit_cast<float>(special | (static_cast<uint32_t>(half & 0x8000u) << 16));
}

/// Float to IEEE binary16: rounds to nearest, ties to even; beyond 65504 to infinity; NaN stays NaN.
inline uint16_t float_to_half(float value) {
  const uint32_t word = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (word >> 16) & 0x8000u, magnitude = word & 0x7fffffffu;
  uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | ((magnitude >> 13) & 0x1ffu);
  } else if (magnitude >= 0x477ff000u) {  // 65520, half way from 65504 to the next power of two
    half = 0x7c00u;
  } else if (magnitude < 0x38800000u) {  // below 2^-14: adding 1/2 leaves the subnormal's bits, rounded
    half = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  } else {
    half = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - (112u << 23)) >> 13;
  }
  return static_cast<uint16_t>(sign | half);
}

}  // namespace prospect
