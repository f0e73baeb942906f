#include "kernels/layernorm/layernorm.h"

#include <gtest/gtest.h>

#include "engine/ops.h"
#include "tests/support/gradient_check.h"
#include "tests/support/near.h"
#include "tests/support/random.h"

namespace prospect::test {
namespace {

constexpr double kEpsilon = 1e-5;

Tensor forward(DType dtype, int64_t rows, int64_t columns) {
  const Variable x(normal_tensor({rows, columns}, dtype, 1)), weight(normal_tensor({columns}, dtype, 2)),
      bias(normal_tensor({columns}, dtype, 3));
  return layernorm(x, weight, bias, kEpsilon).value();
}

TEST(LayerNorm, NormalisesEachRowBeforeScaling) {
  const Tensor x = normal_tensor({5, 64}, DType::F64, 1, 3.0);
  const std::vector<double> ones(64, 1), zeros(64, 0);
  const Tensor y = layernorm(Variable(x), Variable(Tensor::from(ones, Device::cpu())),
                             Variable(Tensor::from(zeros, Device::cpu())), 0)
                       .value();
  for (int64_t row = 0; row < 5; ++row) {
    double sum = 0, squares = 0;
    for (int64_t c = 0; c < 64; ++c) {
      const double value = y.data<double>()[row * 64 + c];
      sum += value;
      squares += value * value;
    }
    EXPECT_NEAR(sum, 0, 1e-12);
    EXPECT_NEAR(squares, 64, 1e-11);
  }
}

TEST(LayerNorm, SinglePrecisionAgreesWithDouble) {
  // Three sums of 129 terms of order 1, each rounded: 3 * 129 * 2^-24 in the worst case.
  const double tolerance = 3 * 129 * unit_roundoff(DType::F32);
  EXPECT_TRUE(near(forward(DType::F32, 7, 129), forward(DType::F64, 7, 129), tolerance));
}

TEST(LayerNorm, BfloatStorageAgreesWithDouble) {
  // Inputs, weight, bias and output are each rounded once; a product of three values of up to 4 in size.
  const double tolerance = 4 * 4 * unit_roundoff(DType::BF16);
  EXPECT_TRUE(near(forward(DType::BF16, 7, 129), forward(DType::F64, 7, 129), tolerance));
}

TEST(LayerNorm, GradientsMatchFiniteDifferences) {
  check_gradients([](auto in) { return layernorm(in[0], in[1], in[2], kEpsilon); },
                  {normal_tensor({3, 10}, DType::F64, 1), normal_tensor({10}, DType::F64, 2),
                   normal_tensor({10}, DType::F64, 3)});
}

TEST(LayerNorm, NamesTheShapeItExpected) {
  const Variable x(normal_tensor({2, 8}, DType::F32, 1)), narrow(normal_tensor({7}, DType::F32, 2));
  try {
    layernorm(x, narrow, narrow, kEpsilon);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "layernorm: weight must be [8] f32, got [7] f32");
  }
}

}  // namespace
}  // namespace prospect::test
