#include "kernels/rmsnorm/rmsnorm.h"

#include <gtest/gtest.h>

#include "engine/ops.h"
#include "tests/support/golden.h"
#include "tests/support/gradient_check.h"
#include "tests/support/near.h"
#include "tests/support/random.h"

namespace prospect::test {
namespace {

constexpr double kEpsilon = 1e-5;

struct Result {
  Tensor y, dx, dweight;
};

Result run(const Tensor& x, const Tensor& weight, const Tensor& dy) {
  const auto x_leaf = Variable::parameter(x), weight_leaf = Variable::parameter(weight);
  const Variable y = rmsnorm(x_leaf, weight_leaf, kEpsilon);
  backward(y, dy);
  return {y.value(), x_leaf.grad(), weight_leaf.grad()};
}

Result run_random(DType dtype) {
  return run(normal_tensor({7, 129}, dtype, 1), normal_tensor({129}, dtype, 2),
             normal_tensor({7, 129}, dtype, 3));
}

TEST(RmsNorm, ValueAndGradientsEqualLlamaRmsNorm) {
  auto golden = read_golden("ops/rmsnorm.txt");
  const auto tensor = [&](const std::string& name, const Shape& shape) {
    return convert(Tensor::from(golden[name], shape, Device::cpu()), DType::F32);
  };
  const Result result = run(tensor("x", {3, 16}), tensor("weight", {16}), tensor("dy", {3, 16}));
  // Both sides round sums of 16 terms in their own order, a relative 16 * 2^-24 each at worst.
  const double tolerance = 2 * 16 * unit_roundoff(DType::F32);
  EXPECT_TRUE(near(result.y, golden["y"], tolerance));
  EXPECT_TRUE(near(result.dx, golden["dx"], tolerance));
  EXPECT_TRUE(near(result.dweight, golden["dweight"], tolerance));
}

TEST(RmsNorm, SinglePrecisionAgreesWithDouble) {
  const Result single = run_random(DType::F32), exact = run_random(DType::F64);
  // Inputs are rounded once; two sums of 129 products of order 1 are each rounded 129 times at worst.
  const double tolerance = 2 * 129 * unit_roundoff(DType::F32);
  EXPECT_TRUE(near(single.y, exact.y, tolerance));
  EXPECT_TRUE(near(single.dx, exact.dx, tolerance));
  EXPECT_TRUE(near(single.dweight, exact.dweight, tolerance));
}

TEST(RmsNorm, BfloatStorageAgreesWithDouble) {
  const Result rounded = run_random(DType::BF16), exact = run_random(DType::F64);
  // Inputs, weight and results are each rounded once; products of two or three values of up to 4 in size,
  // of which dweight sums seven.
  const double tolerance = 4 * 4 * unit_roundoff(DType::BF16);
  EXPECT_TRUE(near(rounded.y, exact.y, tolerance));
  EXPECT_TRUE(near(rounded.dx, exact.dx, tolerance));
  EXPECT_TRUE(near(rounded.dweight, exact.dweight, tolerance));
}

TEST(RmsNorm, GradientsMatchFiniteDifferences) {
  check_gradients([](auto in) { return rmsnorm(in[0], in[1], kEpsilon); },
                  {normal_tensor({3, 10}, DType::F64, 1), normal_tensor({10}, DType::F64, 2)});
  // A large epsilon takes part in the derivative.
  check_gradients([](auto in) { return rmsnorm(in[0], in[1], 0.5); },
                  {normal_tensor({4, 5}, DType::F64, 3), normal_tensor({5}, DType::F64, 4)});
}

TEST(RmsNorm, GivesZeroForARowOfZeros) {
  const Result result = run(Tensor::zeros({1, 8}, DType::F32, Device::cpu()),
                            normal_tensor({8}, DType::F32, 1), normal_tensor({1, 8}, DType::F32, 2));
  EXPECT_EQ(to_doubles(result.y), std::vector<double>(8, 0));
  EXPECT_EQ(to_doubles(result.dweight), std::vector<double>(8, 0));
}

TEST(RmsNorm, NamesTheShapeItExpected) {
  const Variable x(normal_tensor({2, 8}, DType::F32, 1)), narrow(normal_tensor({7}, DType::F32, 2));
  try {
    rmsnorm(x, narrow, kEpsilon);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "rmsnorm: weight must be [8] f32, got [7] f32");
  }
}

}  // namespace
}  // namespace prospect::test
