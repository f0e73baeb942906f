#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

/// Elementary functions that the compiler vectorises inside `#pragma omp simd` loops: no branches, no tables,
/// no library calls in float. In double they are the library's, which serve as the oracle.
namespace prospect {

/// exp(x) within 2 ulp on [-87.33, 88.72]; 0 below (where the result would be subnormal), +inf above, NaN for
/// NaN. Splits x = n log(2) + r, |r| <= log(2) / 2, with log(2) in two parts so that r is exact to float, and
/// moves n into the exponent of a polynomial in r.
/// Source: Cody and Waite, "Software Manual for the Elementary Functions", 1980, chapter 6; the polynomial
/// interpolates (exp(r) - 1 - r) / r^2 at Chebyshev nodes, relative error below 1e-8. 20 flops.
inline float fast_exp(float x) {
  constexpr float kRound = 0x1.8p23f;        // adding it rounds to an integer, left in the low mantissa bits
  constexpr float kLog2High = 0x1.62e4p-1f;  // 15 bits: its product with n is exact
  constexpr float kLog2Low = 0x1.7f7d1cp-20f;
  constexpr float kLowest = -0x1.5d589ep6f, kHighest = 0x1.62e42ep6f;  // log of FLT_MIN and of FLT_MAX
  const float shifted = x * 0x1.715476p+0f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * kLog2High) - n * kLog2Low;
  float p = 0x1.6d10fcp-10f;
  p = p * r + 0x1.120b62p-7f;
  p = p * r + 0x1.55551ap-5f;
  p = p * r + 0x1.5554dep-3f;
  p = p * r + 0.5f;
  p = p * (r * r) + r + 1.0f;
  float y = std::bit_cast<float>(std::bit_cast<uint32_t>(p) + (std::bit_cast<uint32_t>(shifted) << 23));
  y = x < kLowest ? 0.0f : y;
  y = x > kHighest ? std::numeric_limits<float>::infinity() : y;
  return x == x ? y : x;
}
inline double fast_exp(double x) {
  return std::exp(x);
}

/// 1 / (1 + exp(-x)), within 4 ulp in float where it is not below FLT_MIN.
template <class C>
inline C fast_sigmoid(C x) {
  return 1 / (1 + fast_exp(-x));
}

/// sigmoid(x) and sigmoid(-x) = 1 - sigmoid(x), each with all its digits, as derivatives need them.
template <class C>
struct SigmoidPair {
  C value, complement;
};
template <class C>
inline SigmoidPair<C> fast_sigmoids(C x) {
  const C e = fast_exp(-std::fabs(x));
  const C large = 1 / (1 + e), small = e * large;
  return {x < 0 ? small : large, x < 0 ? large : small};
}

template <class C>
struct SineCosine {
  C sine, cosine;
};
/// Sine and cosine of an angle in double. In float: within 2e-7 for |angle| below 1e9. The angle is reduced
/// to
/// [-pi / 4, pi / 4] in double, pi / 2 in two parts, and rounded to float for the polynomials, which
/// interpolate (sin(r) - r) / r^3 and (cos(r) - 1 + r^2 / 2) / r^4 at Chebyshev nodes of r^2, errors below
/// 1e-8.
template <class C>
SineCosine<C> fast_sine_cosine(double angle);
template <>
inline SineCosine<double> fast_sine_cosine(double angle) {
  return {std::sin(angle), std::cos(angle)};
}
template <>
constexpr SineCosine<float> fast_sine_cosine(double angle) {
  constexpr double kRound = 0x1.8p52;
  constexpr double kQuarterHigh = 0x1.921fb544p+0, kQuarterLow = 0x1.0b4611a626331p-34;  // pi / 2
  const double shifted = angle * 0x1.45f306dc9c883p-1 + kRound;
  const double n = shifted - kRound;
  const float r = static_cast<float>((angle - n * kQuarterHigh) - n * kQuarterLow);
  const auto quadrant = static_cast<uint32_t>(std::bit_cast<uint64_t>(shifted));
  const float z = r * r;
  const float sine = r + r * z * ((-0x1.9ac63ep-13f * z + 0x1.110c22p-7f) * z - 0x1.555552p-3f);
  const float cosine = 1 - 0.5f * z + z * z * ((0x1.9bd5d8p-16f * z - 0x1.6c12cep-10f) * z + 0x1.555554p-5f);
  const float y = quadrant & 1 ? cosine : sine, x = quadrant & 1 ? sine : cosine;
  return {quadrant & 2 ? -y : y, (quadrant + 1) & 2 ? -x : x};
}

}  // namespace prospect
