#include "kernels/common/fast_math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace prospect::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLowest = -0x1.5d589ep6f, kHighest = 0x1.62e42ep6f;  // log of FLT_MIN and FLT_MAX, inwards

/// The results of the vectorised loop, which is how kernels use the functions.
std::vector<float> exponentials(const std::vector<float>& inputs) {
  std::vector<float> outputs(inputs.size());
  const float* x = inputs.data();
  float* y = outputs.data();
  const int64_t count = std::ssize(inputs);
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] = fast_exp(x[i]);
  return outputs;
}

/// |actual - expected| in units of the last place of expected.
double ulps(float actual, double expected) {
  const int exponent = std::ilogb(static_cast<float>(expected));
  return std::fabs(actual - expected) / std::ldexp(1.0, exponent - 23);
}

/// Numbers from begin to end: evenly spaced, so small ones too.
std::vector<float> sweep(double begin, double end, int64_t count) {
  std::vector<float> values(count);
  for (int64_t i = 0; i < count; ++i) {
    const double position = static_cast<double>(i) / static_cast<double>(count - 1);
    values[i] = static_cast<float>(begin + (end - begin) * position);
  }
  return values;
}

TEST(FastMath, ExponentialIsWithinTwoUnitsOfTheLastPlace) {
  double worst = 0;
  for (const auto& [begin, end] : {std::pair{-87.0, 88.0}, {-1.0, 1.0}, {-1e-3, 1e-3}, {-87.3365, 88.7228}}) {
    const std::vector<float> x = sweep(begin, end, 500'001), y = exponentials(x);
    for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, ulps(y[i], std::exp(double{x[i]})));
  }
  EXPECT_LE(worst, 2);
  EXPECT_GT(worst, 0.4) << "the correctly rounded function would reach one half";
}

TEST(FastMath, ExponentialIsExactAtZero) {
  EXPECT_EQ(exponentials({0.0f, -0.0f, 1e-30f}), (std::vector<float>{1, 1, 1}));
}

TEST(FastMath, ExponentialEndsInZeroInfinityAndNan) {
  const float after_lowest = std::nextafter(kLowest, -kInfinity);
  const float after_highest = std::nextafter(kHighest, kInfinity);
  EXPECT_EQ(exponentials({after_lowest, -88, -104, -1e30f, -kInfinity}), std::vector<float>(5, 0));
  EXPECT_EQ(exponentials({after_highest, 89, 1e30f, kInfinity}), std::vector<float>(4, kInfinity));
  EXPECT_LE(ulps(fast_exp(kLowest), std::exp(double{kLowest})), 2);
  EXPECT_LE(ulps(fast_exp(kHighest), std::exp(double{kHighest})), 2);
  for (const uint32_t payload : {0x7fc00000u, 0xffc00000u, 0x7fffffffu, 0x7f800001u}) {
    EXPECT_TRUE(std::isnan(exponentials(std::vector<float>(9, std::bit_cast<float>(payload)))[3]));
  }
}

TEST(FastMath, SigmoidIsWithinFourUnitsOfTheLastPlace) {
  double worst = 0;
  for (const float x : sweep(-87, 87, 500'001)) {
    worst = std::max(worst, ulps(fast_sigmoid(x), 1 / (1 + std::exp(-double{x}))));
  }
  EXPECT_LE(worst, 4);
  EXPECT_EQ(fast_sigmoid(-kInfinity), 0);
  EXPECT_EQ(fast_sigmoid(kInfinity), 1);
  EXPECT_TRUE(std::isnan(fast_sigmoid(std::nanf(""))));
}

TEST(FastMath, SigmoidPairKeepsTheDigitsOfBoth) {
  double worst = 0;
  for (const float x : sweep(-87, 87, 500'001)) {
    const auto [value, complement] = fast_sigmoids(x);
    worst = std::max(worst, ulps(value, 1 / (1 + std::exp(-double{x}))));
    worst = std::max(worst, ulps(complement, 1 / (1 + std::exp(double{x}))));
  }
  EXPECT_LE(worst, 5);
  EXPECT_EQ(fast_sigmoids(-kInfinity).value, 0);
  EXPECT_EQ(fast_sigmoids(kInfinity).complement, 0);
}

TEST(FastMath, SineAndCosineAgreeWithDoubleAtLargeAngles) {
  for (const double largest : {1.0, 10.0, 1e4, 1e6, 1e9}) {
    double worst = 0;
    for (int i = -20'000; i <= 20'000; ++i) {
      const double angle = largest * i / 20'000;
      const auto [sine, cosine] = fast_sine_cosine<float>(angle);
      worst = std::max({worst, std::fabs(sine - std::sin(angle)), std::fabs(cosine - std::cos(angle))});
    }
    EXPECT_LE(worst, 2e-7) << largest;
  }
}

}  // namespace
}  // namespace prospect::test
