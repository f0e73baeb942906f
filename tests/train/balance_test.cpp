#include "train/balance.h"

#include <gtest/gtest.h>

namespace prospect::test {
namespace {

Examples examples_of(int64_t desirable, int64_t undesirable) {
  Examples examples;
  for (int64_t i = 0; i < desirable + undesirable; ++i) examples.list.emplace_back().label = i < desirable;
  return examples;
}

TEST(Balance, MakesBothLabelsWeighTheSameWithTheSmallerWeightOne) {
  const LabelWeights many = balanced_weights(examples_of(30, 12)), few = balanced_weights(examples_of(3, 12));
  EXPECT_EQ(many.desirable, 1);
  EXPECT_EQ(many.undesirable, 2.5);
  EXPECT_EQ(few.desirable, 4);
  EXPECT_EQ(few.undesirable, 1);
  EXPECT_EQ(balanced_weights(examples_of(5, 0)).desirable, 1);
  EXPECT_EQ(balanced_weights(examples_of(0, 5)).desirable, 1);
}

TEST(Balance, IsSilentBetweenOneAndThreeHalves) {
  for (const auto& [desirable, undesirable] : {std::pair{10, 10}, {15, 10}, {12, 10}})
    EXPECT_EQ(balance_warning(examples_of(desirable, undesirable), {}), "");
  for (int64_t desirable = 1; desirable < 40; ++desirable) {
    const Examples examples = examples_of(desirable, 7);
    EXPECT_EQ(balance_warning(examples, balanced_weights(examples)), "");
  }
}

TEST(Balance, WarnsWithNumbersOutsideIt) {
  EXPECT_EQ(balance_warning(examples_of(16, 10), {}),
            "16 desirable rows of weight 1 against 10 undesirable of weight 1: the ratio 1.6 is not in [1, "
            "1.5]; --balance auto would choose weights 1 and 1.6");
  EXPECT_NE(balance_warning(examples_of(9, 10), {}), "");
  EXPECT_NE(balance_warning(examples_of(10, 10), {.desirable = 1, .undesirable = 2}), "");
  EXPECT_EQ(balance_warning(examples_of(4, 0), {}),
            "all 4 rows are desirable: KTO can only push in one direction");
}

}  // namespace
}  // namespace prospect::test
