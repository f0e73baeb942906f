#include "kernels/residual_add/residual_add.h"

#include <gtest/gtest.h>

#include "engine/ops.h"
#include "tests/support/gradient_check.h"
#include "tests/support/near.h"
#include "tests/support/random.h"

namespace prospect::test {
namespace {

TEST(ResidualAdd, AddsEveryElementWithOneRounding) {
  // More than two parts of 8192 elements, and no whole number of them.
  const Shape shape{141, 129};
  for (const DType dtype : {DType::F32, DType::BF16, DType::F64}) {
    const Tensor x = normal_tensor(shape, dtype, 1), branch = normal_tensor(shape, dtype, 2);
    const Tensor y = residual_add(Variable(x), Variable(branch)).value();
    auto expected = to_doubles(x);
    const auto added = to_doubles(branch);
    for (size_t i = 0; i < expected.size(); ++i) expected[i] += added[i];
    EXPECT_TRUE(near(y, expected, unit_roundoff(dtype))) << dtype_name(dtype);
  }
}

TEST(ResidualAdd, GradientsMatchFiniteDifferences) {
  check_gradients([](auto in) { return residual_add(in[0], in[1]); },
                  {normal_tensor({3, 5}, DType::F64, 1), normal_tensor({3, 5}, DType::F64, 2)});
}

TEST(ResidualAdd, TheSameInputTwiceDoublesItsGradient) {
  const auto x = Variable::parameter(normal_tensor({141, 129}, DType::F32, 1));
  const Tensor dy = normal_tensor({141, 129}, DType::F32, 2);
  backward(residual_add(x, x), dy);
  auto expected = to_doubles(dy);
  for (double& value : expected) value *= 2;
  EXPECT_EQ(to_doubles(x.grad()), expected);
}

TEST(ResidualAdd, NamesTheShapeItExpected) {
  const Variable x(normal_tensor({2, 8}, DType::F32, 1)), narrow(normal_tensor({2, 7}, DType::F32, 2));
  try {
    residual_add(x, narrow);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "residual_add: branch must be [2, 8] f32, got [2, 7] f32");
  }
}

}  // namespace
}  // namespace prospect::test
