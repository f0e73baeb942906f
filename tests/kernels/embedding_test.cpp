#include "kernels/embedding/embedding.h"

#include <gtest/gtest.h>

#include "engine/ops.h"
#include "tests/support/golden.h"
#include "tests/support/gradient_check.h"
#include "tests/support/near.h"
#include "tests/support/random.h"

namespace prospect::test {
namespace {

Tensor id_tensor(const std::vector<int32_t>& ids) {
  return Tensor::from(ids, Device::cpu());
}

TEST(Embedding, ValueAndGradientEqualPyTorch) {
  auto golden = read_golden("ops/embedding.txt");
  const std::vector<int32_t> ids(golden["ids"].begin(), golden["ids"].end());
  ASSERT_EQ(ids.size(), 12u);
  const auto table = Variable::parameter(Tensor::from(golden["table"], {7, 5}, Device::cpu()));
  const Variable y = embedding(table, id_tensor(ids));
  EXPECT_EQ(to_doubles(y.value()), golden["y"]);
  backward(y, Tensor::from(golden["dy"], {12, 5}, Device::cpu()));
  // Sums of at most four terms of order 1; the same order of addition would give the same bits.
  EXPECT_TRUE(near(table.grad(), golden["dtable"], 4 * unit_roundoff(DType::F64)));
}

TEST(Embedding, GradientsMatchFiniteDifferences) {
  const auto at = [](std::vector<int32_t> ids) {
    return [ids](auto in) { return embedding(in[0], id_tensor(ids)); };
  };
  check_gradients(at({3, 0, 3, 5, 0, 3}), {normal_tensor({6, 3}, DType::F64, 1)});
  check_gradients(at({1, 2, 4}), {normal_tensor({6, 200}, DType::F64, 1)});
}

TEST(Embedding, OverwriteClearsRowsThatNoIdNames) {
  for (const std::vector<int32_t>& ids : {std::vector<int32_t>{4, 1, 4}, std::vector<int32_t>{}}) {
    const int64_t tokens = std::ssize(ids);
    const Tensor grad = normal_tensor({6, 2}, DType::F32, 1);
    const auto table = Variable::parameter(normal_tensor({6, 2}, DType::F32, 2), grad);
    const Tensor ones =
        Tensor::from(std::vector<float>(size_t(2 * tokens), 1.0f), {tokens, 2}, Device::cpu());
    backward(embedding(table, id_tensor(ids)), ones);
    std::vector<double> expected(12, 0.0);
    for (const int32_t id : ids) {
      for (int32_t c = 0; c < 2; ++c) ++expected[size_t(2 * id + c)];
    }
    EXPECT_EQ(to_doubles(grad), expected);
  }
}

TEST(Embedding, BfloatGradientsAreSummedInFloat) {
  // 1 + 300 / 512: each step is below half a unit of bfloat at 1, so a sum kept in bfloat would stay at 1.
  const auto table = Variable::parameter(normal_tensor({2, 1}, DType::BF16, 1));
  std::vector<double> dy(301, 1.0 / 512);
  dy[0] = 1;
  const Variable y = embedding(table, id_tensor(std::vector<int32_t>(301, 1)));
  backward(y, convert(Tensor::from(dy, {301, 1}, Device::cpu()), DType::BF16));
  EXPECT_TRUE(near(table.grad(), {0, 1 + 300.0 / 512}, unit_roundoff(DType::BF16)));
}

TEST(Embedding, OrderIsStable) {
  const std::vector<int32_t> ids{9, 2, 9, 2, 0, 9};
  std::vector<int32_t> order(6), starts(7);
  EXPECT_EQ(kernels::cpu::embedding_order(ids.data(), 6, order.data(), starts.data()), 3);
  EXPECT_EQ(order, (std::vector<int32_t>{4, 1, 3, 0, 2, 5}));
  starts.resize(4);
  EXPECT_EQ(starts, (std::vector<int32_t>{0, 1, 3, 6}));
}

TEST(Embedding, NamesTheIdThatIsOutside) {
  const Variable table(normal_tensor({10, 2}, DType::F32, 1));
  const auto message = [&](const std::vector<int32_t>& ids) -> std::string {
    try {
      embedding(table, id_tensor(ids));
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  };
  EXPECT_EQ(message({0, 9, 10}), "embedding: id 10 at 2 is outside [0, 10)");
  EXPECT_EQ(message({-1}), "embedding: id -1 at 0 is outside [0, 10)");
}

}  // namespace
}  // namespace prospect::test
