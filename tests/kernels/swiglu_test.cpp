#include "kernels/swiglu/swiglu.h"

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

Result run(const Tensor& gate_up, const Tensor& dy) {
  const auto leaf = Variable::parameter(gate_up);
  const Variable y = swiglu(leaf);
  backward(y, dy);
  return {y.value(), leaf.grad()};
}

TEST(Swiglu, ValueAndGradientEqualPyTorch) {
  auto golden = read_golden("ops/swiglu.txt");
  const Result result = run(Tensor::from(golden["gate_up"], {3, 14}, Device::cpu()),
                            Tensor::from(golden["dy"], {3, 7}, Device::cpu()));
  // A dozen roundings on each side.
  const double tolerance = 2 * 12 * unit_roundoff(DType::F64);
  EXPECT_TRUE(near(result.y, golden["y"], tolerance));
  EXPECT_TRUE(near(result.dx, golden["dx"], tolerance));
}

TEST(Swiglu, RoundedStorageAgreesWithDouble) {
  for (const DType dtype : {DType::F32, DType::BF16}) {
    // 101 columns: several vectors and a rest.
    const Tensor gate_up = normal_tensor({5, 202}, dtype, 1, 3), dy = normal_tensor({5, 101}, dtype, 2);
    const Result rounded = run(gate_up, dy),
                 exact = run(convert(gate_up, DType::F64), convert(dy, DType::F64));
    // The same inputs. A result of bfloat16 is rounded once; in float the sigmoids are within 5 ulp, that is
    // 10 roundings each, and five products and sums follow.
    const double tolerance = (dtype == DType::F32 ? 25 : 1.01) * unit_roundoff(dtype);
    EXPECT_TRUE(near(rounded.y, exact.y, tolerance));
    EXPECT_TRUE(near(rounded.dx, exact.dx, tolerance));
  }
}

TEST(Swiglu, StaysFiniteWhereTheSigmoidSaturates) {
  const std::vector<float> gate_up = {-200, -90, 90, 200, 2, 2, 2, 2};
  const Result result = run(Tensor::from(gate_up, {1, 8}, Device::cpu()),
                            Tensor::from(std::vector<float>{1, 1, 1, 1}, {1, 4}, Device::cpu()));
  EXPECT_EQ(to_doubles(result.y), (std::vector<double>{0, 0, 180, 400}));
  EXPECT_EQ(to_doubles(result.dx), (std::vector<double>{0, 0, 2, 2, 0, 0, 90, 200}));
}

TEST(Swiglu, GradientsMatchFiniteDifferences) {
  check_gradients([](auto in) { return swiglu(in[0]); }, {normal_tensor({4, 14}, DType::F64, 1, 2)});
}

TEST(Swiglu, RefusesAnOddNumberOfColumns) {
  EXPECT_THROW(swiglu(Variable(normal_tensor({2, 7}, DType::F32, 1))), Error);
}

}  // namespace
}  // namespace prospect::test
