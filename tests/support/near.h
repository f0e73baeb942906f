#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/tensor.h"

namespace prospect::test {

/// Half the distance from 1 to the next number: the largest relative error of one rounding to `dtype`.
inline double unit_roundoff(DType dtype) {
  switch (dtype) {
    case DType::F64:
      return 0x1p-53;
    case DType::F32:
      return 0x1p-24;
    default:
      return 0x1p-8;
  }
}

/// Passes when each element of `actual` is within tolerance * max(1, |expected|) of `expected`.
inline testing::AssertionResult near(const Tensor& actual, const std::vector<double>& expected,
                                     double tolerance) {
  const auto values = to_doubles(actual);
  if (values.size() != expected.size()) {
    return testing::AssertionFailure() << values.size() << " values, expected " << expected.size();
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const double allowed = tolerance * std::max(1.0, std::fabs(expected[i]));
    if (!(std::fabs(values[i] - expected[i]) <= allowed)) {
      return testing::AssertionFailure()
             << "element " << i << ": " << values[i] << ", expected " << expected[i] << " within " << allowed;
    }
  }
  return testing::AssertionSuccess();
}
inline testing::AssertionResult near(const Tensor& actual, const Tensor& expected, double tolerance) {
  return near(actual, to_doubles(expected), tolerance);
}

/// || actual - expected || / || expected ||
inline double relative_distance(const std::vector<double>& actual, const std::vector<double>& expected) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += (actual[i] - expected[i]) * (actual[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  return std::sqrt(difference / std::max(norm, std::numeric_limits<double>::min()));
}

}  // namespace prospect::test
