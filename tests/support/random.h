#pragma once

#include <random>
#include <vector>

#include "engine/tensor.h"

namespace prospect::test {

/// Standard normal values, the same for the same seed.
inline std::vector<double> normal(int64_t count, uint64_t seed, double deviation = 1) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> distribution(0, deviation);
  std::vector<double> values(static_cast<size_t>(count));
  for (double& value : values) value = distribution(engine);
  return values;
}

/// The same as a tensor of any floating-point dtype (rounded from double).
inline Tensor normal_tensor(const Shape& shape, DType dtype, uint64_t seed, double deviation = 1) {
  const auto values = normal(element_count(shape), seed, deviation);
  return convert(Tensor::from(values, shape, Device::cpu()), dtype);
}

}  // namespace prospect::test
