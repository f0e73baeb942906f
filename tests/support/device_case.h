#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/common/bf16.h"
#include "tests/support/device_buffer.h"
#include "tests/support/random.h"

/// What tests of kernels share: inputs that T holds exactly, the same in double, and comparing.
namespace prospect::test {

/// Normal numbers, rounded to T.
template <class T>
std::vector<T> random_values(int64_t count, uint64_t seed) {
  std::vector<T> values;
  for (const double value : normal(count, seed)) values.push_back(T(static_cast<float>(value)));
  return values;
}
template <class T>
std::vector<double> doubles(const std::vector<T>& values) {
  std::vector<double> result;
  for (const T& value : values) result.push_back(static_cast<double>(load(value)));
  return result;
}

/// The unit roundoff of T.
template <class T>
constexpr double unit() {
  return sizeof(T) == 2 ? 0x1p-8 : 0x1p-24;
}

/// Each within tolerance * max(1, |expected|).
template <class T>
void expect_near(const std::vector<T>& actual, const std::vector<double>& expected, double tolerance,
                 const char* what) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(load(actual[i])), expected[i],
                tolerance * std::max(1.0, std::fabs(expected[i])))
        << what << "[" << i << "]";
  }
}

}  // namespace prospect::test
