#include "kernels/dropout/dropout.h"

#include <gtest/gtest.h>

#include "engine/ops.h"
#include "kernels/common/philox.h"
#include "tests/support/gradient_check.h"
#include "tests/support/near.h"
#include "tests/support/random.h"

namespace prospect::test {
namespace {

constexpr double kProbability = 0.1;
constexpr DropoutKey kKey{.seed = 7, .step = 3, .site = 2};

Tensor numbers(const std::vector<int32_t>& values) {
  return Tensor::from(values, Device::cpu());
}

std::vector<int32_t> counting(int64_t count) {
  std::vector<int32_t> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int32_t>(i);
  return values;
}

/// What dropout makes of ones: 0 or the scale. One example with consecutive positions.
Tensor mask_of(int64_t tokens, int64_t columns, const DropoutKey& key, double probability = kProbability,
               int32_t example = 5) {
  const Tensor ones =
      Tensor::from(std::vector<float>(size_t(tokens * columns), 1.0f), {tokens, columns}, Device::cpu());
  const auto examples = std::vector<int32_t>(size_t(tokens), example);
  return dropout(Variable(ones), probability, numbers(examples), numbers(counting(tokens)), key).value();
}

double share(const Tensor& mask, const Tensor& other) {
  const auto a = to_doubles(mask), b = to_doubles(other);
  int64_t both = 0;
  for (size_t i = 0; i < a.size(); ++i) both += a[i] != 0 && b[i] != 0;
  return static_cast<double>(both) / static_cast<double>(a.size());
}

TEST(Philox, GivesItsAuthorsKnownAnswers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, ~uint64_t{0}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Dropout, KeepsTheDefinedElementsAndScalesThem) {
  const int64_t tokens = 3, columns = 150;  // neither a multiple of 4 nor of the strip
  const Tensor mask = mask_of(tokens, columns, kKey);
  const uint64_t key = kernels::dropout_key(kKey.seed, kKey.step);
  for (uint32_t t = 0; t < tokens; ++t) {
    for (uint32_t c = 0; c < columns; ++c) {
      const uint32_t word = philox({c / 4, t, 5, 2}, key)[c % 4];
      const float expected = word >= kProbability * 0x1p32 ? static_cast<float>(1 / 0.9) : 0.0f;
      ASSERT_EQ(mask.data<float>()[t * columns + c], expected) << t << ", " << c;
    }
  }
}

TEST(Dropout, KeepsTheShareItShould) {
  for (const double probability : {0.1, 0.5, 0.9}) {
    const Tensor mask = mask_of(400, 512, kKey, probability);
    const double count = static_cast<double>(mask.count());
    // Five standard deviations of a binomial share: once in two million seeds, and the seed is fixed.
    EXPECT_NEAR(share(mask, mask), 1 - probability, 5 * std::sqrt(probability * (1 - probability) / count));
  }
}

TEST(Dropout, MaskDoesNotDependOnPacking) {
  // Two sequences packed one after the other, the second cut in two and first, must meet the same masks.
  const Tensor x = normal_tensor({6, 40}, DType::F32, 1);
  const Tensor together =
      dropout(Variable(x), kProbability, numbers({8, 8, 8, 8, 9, 9}), numbers({0, 1, 2, 3, 0, 1}), kKey)
          .value();
  const std::vector<int32_t> order{5, 2, 3, 4, 0, 1}, examples{9, 8, 8, 9, 8, 8}, positions{1, 2, 3, 0, 0, 1};
  const Variable moved = embedding(Variable(x), numbers(order));
  const Tensor apart = dropout(moved, kProbability, numbers(examples), numbers(positions), kKey).value();
  EXPECT_EQ(to_doubles(apart), to_doubles(embedding(Variable(together), numbers(order)).value()));
}

TEST(Dropout, EveryPartOfTheKeyChangesTheMask) {
  const int64_t tokens = 100, columns = 512;
  const Tensor mask = mask_of(tokens, columns, kKey, 0.5);
  const std::vector<Tensor> others = {
      mask_of(tokens, columns, {.seed = 8, .step = 3, .site = 2}, 0.5),
      mask_of(tokens, columns, {.seed = 7, .step = 4, .site = 2}, 0.5),
      mask_of(tokens, columns, {.seed = 3, .step = 7, .site = 2}, 0.5),
      mask_of(tokens, columns, {.seed = 7, .step = 3, .site = 1}, 0.5),
      mask_of(tokens, columns, kKey, 0.5, 6),
  };
  // Independent masks both keep an element in a quarter of all cases; five standard deviations.
  const double tolerance = 5 * std::sqrt(0.25 * 0.75 / static_cast<double>(tokens * columns));
  for (const Tensor& other : others) EXPECT_NEAR(share(mask, other), 0.25, tolerance);
  // Nor do the positions of one example repeat each other.
  EXPECT_NEAR(share(mask.rows(0, tokens - 1), mask.rows(1, tokens)), 0.25, 1.01 * tolerance);
}

TEST(Dropout, GradientsMatchFiniteDifferences) {
  // The mask does not depend on x, so the function is linear.
  check_gradients(
      [](auto in) {
        return dropout(in[0], 0.4, numbers({1, 1, 4}), numbers({0, 1, 0}), kKey);
      },
      {normal_tensor({3, 134}, DType::F64, 1)});
}

TEST(Dropout, BfloatRoundsTheScaledValueOnce) {
  const Tensor x = normal_tensor({4, 30}, DType::BF16, 1);
  const Tensor examples = numbers({0, 0, 0, 0}), positions = numbers({0, 1, 2, 3});
  const auto apply = [&](const Tensor& value) {
    return dropout(Variable(value), kProbability, examples, positions, kKey).value();
  };
  EXPECT_TRUE(near(apply(x), apply(convert(x, DType::F64)), unit_roundoff(DType::BF16)));
}

TEST(Dropout, ProbabilityZeroIsTheInputItself) {
  const auto x = Variable::parameter(normal_tensor({2, 3}, DType::F32, 1));
  const Variable y = dropout(x, 0, numbers({0, 0}), numbers({0, 1}), kKey);
  EXPECT_EQ(y.value().bytes(), x.value().bytes());
  EXPECT_EQ(y.node(), x.node());
}

TEST(Dropout, RefusesAProbabilityOfOne) {
  const Variable x(normal_tensor({1, 3}, DType::F32, 1));
  EXPECT_THROW(dropout(x, 1, numbers({0}), numbers({0}), kKey), Error);
}

}  // namespace
}  // namespace prospect::test
