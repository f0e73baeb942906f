#include "kernels/rotary/rotary.h"

#include <gtest/gtest.h>

#include "engine/ops.h"
#include "tests/support/golden.h"
#include "tests/support/gradient_check.h"
#include "tests/support/near.h"
#include "tests/support/random.h"

namespace prospect::test {
namespace {

constexpr HeadLayout kLayout{.heads = 3, .kv_heads = 2, .head_dim = 8};

Tensor positions(const std::vector<int32_t>& values) {
  return Tensor::from(values, Device::cpu());
}

Tensor frequencies(int64_t head_dim) {
  std::vector<double> values;
  for (int64_t i = 0; i < head_dim; i += 2) {
    values.push_back(std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(head_dim)));
  }
  return Tensor::from(values, Device::cpu());
}

struct Result {
  Tensor y, dx;
};

Result run(const Tensor& qkv, const Tensor& dy, const Tensor& at, const HeadLayout& layout) {
  const auto leaf = Variable::parameter(qkv);
  const Variable y = rotary(leaf, at, frequencies(layout.head_dim), layout);
  backward(y, dy);
  return {y.value(), leaf.grad()};
}

TEST(Rotary, ValueAndGradientEqualLlama) {
  auto golden = read_golden("ops/rotary.txt");
  const std::vector<int32_t> at(golden["positions"].begin(), golden["positions"].end());
  ASSERT_EQ(at.size(), 5u);
  const Result result = run(Tensor::from(golden["qkv"], {5, 56}, Device::cpu()),
                            Tensor::from(golden["dy"], {5, 56}, Device::cpu()), positions(at), kLayout);
  // Positions reach 1000: frequency and angle are rounded on each side; then two products of up to 4.
  const double tolerance = (4 * 1000 + 8) * unit_roundoff(DType::F64) * 4;
  EXPECT_TRUE(near(result.y, golden["y"], tolerance));
  EXPECT_TRUE(near(result.dx, golden["dx"], tolerance));
}

TEST(Rotary, RoundedStorageAgreesWithDoubleFarFromTheOrigin) {
  // 20 pairs a head: whole vectors and a rest.
  const HeadLayout layout{.heads = 2, .kv_heads = 1, .head_dim = 40};
  const Tensor at = positions({0, 5, 4095, 131071, 1048575});
  for (const DType dtype : {DType::F32, DType::BF16}) {
    const Tensor qkv = normal_tensor({5, 160}, dtype, 1), dy = normal_tensor({5, 160}, dtype, 2);
    const Result rounded = run(qkv, dy, at, layout);
    const Result exact = run(convert(qkv, DType::F64), convert(dy, DType::F64), at, layout);
    // Sine and cosine err by 2e-7; two products of values of up to 4, each rounded, and their sum; storage.
    const double storage = dtype == DType::BF16 ? unit_roundoff(DType::BF16) : 0;
    const double tolerance = 2 * 4 * (2e-7 + 2 * unit_roundoff(DType::F32)) + storage;
    EXPECT_TRUE(near(rounded.y, exact.y, tolerance));
    EXPECT_TRUE(near(rounded.dx, exact.dx, tolerance));
  }
}

TEST(Rotary, PassesValuesThroughAndLeavesPositionZeroAlone) {
  const Tensor qkv = normal_tensor({2, kLayout.columns()}, DType::F32, 1);
  const Tensor y = rotary(Variable(qkv), positions({0, 3}), frequencies(8), kLayout).value();
  const auto before = to_doubles(qkv), after = to_doubles(y);
  const size_t columns = 56, values = 40;
  for (size_t c = 0; c < columns; ++c) EXPECT_EQ(after[c], before[c]);
  for (size_t c = values; c < columns; ++c) EXPECT_EQ(after[columns + c], before[columns + c]);
  EXPECT_NE(after[columns], before[columns]);
}

TEST(Rotary, ScoresDependOnTheDistanceOfPositionsAlone) {
  const HeadLayout layout{.heads = 1, .kv_heads = 1, .head_dim = 8};
  const Tensor row = normal_tensor({1, 24}, DType::F64, 1);
  const auto score = [&](int32_t query, int32_t key) {
    const Tensor qkv = Tensor::empty({2, 24}, DType::F64, Device::cpu());
    qkv.rows(0, 1).copy_from(row);
    qkv.rows(1, 2).copy_from(row);
    const auto y = to_doubles(rotary(Variable(qkv), positions({query, key}), frequencies(8), layout).value());
    double sum = 0;
    for (size_t c = 0; c < 8; ++c) sum += y[c] * y[24 + 8 + c];
    return sum;
  };
  // Angles of up to 100 are rounded; sums of 8 products of order 1.
  EXPECT_NEAR(score(7, 4), score(100, 97), 100 * 8 * 4 * unit_roundoff(DType::F64));
  EXPECT_GT(std::fabs(score(7, 4) - score(100, 96)), 1e-3);
}

TEST(Rotary, GradientsMatchFiniteDifferences) {
  check_gradients(
      [](auto in) {
        return rotary(in[0], positions({2, 0, 31}), frequencies(8), kLayout);
      },
      {normal_tensor({3, kLayout.columns()}, DType::F64, 1)});
}

TEST(Rotary, NamesTheShapeItExpected) {
  const Variable narrow(normal_tensor({1, 55}, DType::F32, 1));
  try {
    rotary(narrow, positions({0}), frequencies(8), kLayout);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "rotary: qkv must be [1, 56] f32, got [1, 55] f32");
  }
}

}  // namespace
}  // namespace prospect::test
