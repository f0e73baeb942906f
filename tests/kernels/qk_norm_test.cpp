#include "kernels/qk_norm/qk_norm.h"

#include <gtest/gtest.h>

#include "engine/ops.h"
#include "tests/support/golden.h"
#include "tests/support/gradient_check.h"
#include "tests/support/near.h"
#include "tests/support/random.h"

namespace prospect::test {
namespace {

constexpr double kEpsilon = 1e-6;

struct Result {
  Tensor y, dx, dquery, dkey;
};

Result run(const Tensor& x, const Tensor& query, const Tensor& key, const Tensor& dy,
           const HeadLayout& layout) {
  const auto x_leaf = Variable::parameter(x), query_leaf = Variable::parameter(query),
             key_leaf = Variable::parameter(key);
  const Variable y = qk_norm(x_leaf, query_leaf, key_leaf, layout, kEpsilon);
  backward(y, dy);
  return {y.value(), x_leaf.grad(), query_leaf.grad(), key_leaf.grad()};
}

Result run_random(DType dtype) {
  const HeadLayout layout{.heads = 3, .kv_heads = 2, .head_dim = 24};
  const Shape shape{5, layout.columns()};
  return run(normal_tensor(shape, dtype, 1), normal_tensor({24}, dtype, 2), normal_tensor({24}, dtype, 3),
             normal_tensor(shape, dtype, 4), layout);
}

TEST(QkNorm, ValueAndGradientsEqualThoseOfQwen3) {
  auto golden = read_golden("ops/qk_norm.txt");
  const HeadLayout layout{.heads = 4, .kv_heads = 2, .head_dim = 8};
  const auto tensor = [&](const std::string& name, const Shape& shape) {
    return convert(Tensor::from(golden[name], shape, Device::cpu()), DType::F32);
  };
  const Result result = run(tensor("qkv", {3, 64}), tensor("query_weight", {8}), tensor("key_weight", {8}),
                            tensor("dy", {3, 64}), layout);
  // Both sides round sums of 8 terms (12 heads of 8 for the weights) in their own order.
  const double tolerance = 2 * 16 * unit_roundoff(DType::F32);
  EXPECT_TRUE(near(result.y, golden["y"], tolerance));
  EXPECT_TRUE(near(result.dx, golden["dx"], tolerance));
  EXPECT_TRUE(near(result.dquery, golden["dquery_weight"], tolerance));
  EXPECT_TRUE(near(result.dkey, golden["dkey_weight"], tolerance));
}

TEST(QkNorm, SinglePrecisionAgreesWithDouble) {
  const Result single = run_random(DType::F32), exact = run_random(DType::F64);
  // Inputs are rounded once; sums of 24 products, and of 15 for the weights, of order 1 to 4.
  const double tolerance = 2 * 4 * 24 * unit_roundoff(DType::F32);
  EXPECT_TRUE(near(single.y, exact.y, tolerance));
  EXPECT_TRUE(near(single.dx, exact.dx, tolerance));
  EXPECT_TRUE(near(single.dquery, exact.dquery, tolerance));
  EXPECT_TRUE(near(single.dkey, exact.dkey, tolerance));
}

TEST(QkNorm, BfloatStorageAgreesWithDouble) {
  const Result rounded = run_random(DType::BF16), exact = run_random(DType::F64);
  // Inputs, weights and results are each rounded once; products of two or three values of up to 4 in size,
  // of which the weights' gradients sum fifteen.
  const double tolerance = 4 * 4 * unit_roundoff(DType::BF16);
  EXPECT_TRUE(near(rounded.y, exact.y, tolerance));
  EXPECT_TRUE(near(rounded.dx, exact.dx, tolerance));
  EXPECT_TRUE(near(rounded.dquery, exact.dquery, tolerance));
  EXPECT_TRUE(near(rounded.dkey, exact.dkey, tolerance));
}

TEST(QkNorm, GradientsMatchFiniteDifferences) {
  const HeadLayout layout{.heads = 2, .kv_heads = 1, .head_dim = 6};
  const std::vector<Tensor> inputs = {normal_tensor({3, layout.columns()}, DType::F64, 1),
                                      normal_tensor({6}, DType::F64, 2), normal_tensor({6}, DType::F64, 3)};
  // A large epsilon takes part in the derivative.
  for (const double epsilon : {kEpsilon, 0.5}) {
    check_gradients([&](auto in) { return qk_norm(in[0], in[1], in[2], layout, epsilon); }, inputs);
  }
}

TEST(QkNorm, NormalisesEachHeadAsRmsNormDoesAndLeavesValues) {
  const HeadLayout layout{.heads = 2, .kv_heads = 1, .head_dim = 8};
  const Variable qkv(normal_tensor({1, 32}, DType::F64, 1)), query(normal_tensor({8}, DType::F64, 2)),
      key(normal_tensor({8}, DType::F64, 3));
  const auto y = to_doubles(qk_norm(qkv, query, key, layout, kEpsilon).value());
  const auto x = to_doubles(qkv.value());
  for (int64_t head = 0; head < 4; ++head) {
    const std::vector<double> slice(x.begin() + head * 8, x.begin() + head * 8 + 8);
    const Variable row(Tensor::from(slice, {1, 8}, Device::cpu()));
    const auto expected =
        head == 3 ? slice : to_doubles(rmsnorm(row, head < 2 ? query : key, kEpsilon).value());
    for (int64_t c = 0; c < 8; ++c) {
      // The same few operations, which the compiler may fuse differently: values of up to 3 in size.
      EXPECT_NEAR(y[static_cast<size_t>(head * 8 + c)], expected[static_cast<size_t>(c)], 1e-14);
    }
  }
}

TEST(QkNorm, NamesTheShapeItExpected) {
  const HeadLayout layout{.heads = 2, .kv_heads = 1, .head_dim = 8};
  const Variable qkv(normal_tensor({2, 32}, DType::F32, 1)), weight(normal_tensor({8}, DType::F32, 2)),
      narrow(normal_tensor({7}, DType::F32, 3));
  try {
    qk_norm(qkv, weight, narrow, layout, kEpsilon);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "qk_norm: key_weight must be [8] f32, got [7] f32");
  }
}

}  // namespace
}  // namespace prospect::test
