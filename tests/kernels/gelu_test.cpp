#include "kernels/gelu/gelu.h"

#include <gtest/gtest.h>

#include "engine/ops.h"
#include "tests/support/golden.h"
#include "tests/support/gradient_check.h"
#include "tests/support/near.h"
#include "tests/support/random.h"

namespace prospect::test {
namespace {

struct Result {
  Tensor y, dx;
};

Result run(const Tensor& x, GeluKind kind) {
  const auto leaf = Variable::parameter(x);
  const Variable y = gelu(leaf, kind);
  const std::vector<double> ones(static_cast<size_t>(x.count()), 1);
  backward(y, convert(Tensor::from(ones, x.shape(), Device::cpu()), x.dtype()));
  return {y.value(), leaf.grad()};
}

/// [-14, 14] evenly, beyond which both kinds are 0 or x.
Tensor sweep(DType dtype) {
  std::vector<double> values(20'001);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(-14 + 28 * double(i) / 20'000);
  return convert(Tensor::from(values, Device::cpu()), dtype);
}

TEST(Gelu, ValueAndGradientEqualPyTorch) {
  auto golden = read_golden("ops/gelu.txt");
  const Tensor x = Tensor::from(golden["x"], Device::cpu());
  ASSERT_EQ(x.count(), 24);
  for (const auto& [kind, name] : {std::pair{GeluKind::Exact, "exact"}, {GeluKind::Tanh, "tanh"}}) {
    const Result result = run(x, kind);
    // A dozen roundings on each side.
    const double tolerance = 2 * 12 * unit_roundoff(DType::F64);
    EXPECT_TRUE(near(result.y, golden[name + std::string("_y")], tolerance)) << name;
    EXPECT_TRUE(near(result.dx, golden[name + std::string("_dx")], tolerance)) << name;
  }
}

TEST(Gelu, SinglePrecisionAgreesWithDouble) {
  for (const GeluKind kind : {GeluKind::Exact, GeluKind::Tanh}) {
    const Result single = run(sweep(DType::F32), kind), exact = run(sweep(DType::F64), kind);
    // y = x s and dy/dx = s + x s': s and its complement are within 5 ulp = 10 roundings, and the argument of
    // the exponential, up to 20 in size where s still changes, within 4 roundings, which s' |argument| < 0.3
    // passes on; x s' < 0.7 counts as s. Relative to max(1, |y|): at most 14 roundings.
    const double tolerance = 14 * unit_roundoff(DType::F32);
    EXPECT_TRUE(near(single.y, exact.y, tolerance));
    EXPECT_TRUE(near(single.dx, exact.dx, tolerance));
  }
}

TEST(Gelu, KeepsTheDigitsOfSmallNegativeTails) {
  const Tensor x = convert(Tensor::from(std::vector<double>{-3, -5, -7}, Device::cpu()), DType::F32);
  for (const GeluKind kind : {GeluKind::Exact, GeluKind::Tanh}) {
    const auto single = to_doubles(run(x, kind).y), exact = to_doubles(run(convert(x, DType::F64), kind).y);
    for (size_t i = 0; i < single.size(); ++i) {
      // An exponential of up to 43, itself with three relative roundings, and the tail's 3e-7.
      EXPECT_NEAR(single[i] / exact[i], 1, 43 * 4 * unit_roundoff(DType::F32) + 3e-7);
    }
  }
}

TEST(Gelu, BfloatStorageAgreesWithDouble) {
  for (const GeluKind kind : {GeluKind::Exact, GeluKind::Tanh}) {
    const Tensor x = normal_tensor({500}, DType::BF16, 1);
    const Result rounded = run(x, kind), exact = run(convert(x, DType::F64), kind);
    // The same inputs; each result is rounded once.
    EXPECT_TRUE(near(rounded.y, exact.y, 1.01 * unit_roundoff(DType::BF16)));
    EXPECT_TRUE(near(rounded.dx, exact.dx, 1.01 * unit_roundoff(DType::BF16)));
  }
}

TEST(Gelu, GradientsMatchFiniteDifferences) {
  for (const GeluKind kind : {GeluKind::Exact, GeluKind::Tanh}) {
    check_gradients([kind](auto in) { return gelu(in[0], kind); }, {normal_tensor({5, 7}, DType::F64, 1, 2)});
  }
}

}  // namespace
}  // namespace prospect::test
