#include "train/batch_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

namespace prospect::test {
namespace {

std::vector<int64_t> counting(int64_t count) {
  std::vector<int64_t> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), int64_t{0});
  return numbers;
}

int64_t draw(std::mt19937& engine, int64_t below) {
  return static_cast<int64_t>(engine()) % below;
}

std::vector<int64_t> sorted(std::vector<int64_t> values) {
  std::sort(values.begin(), values.end());
  return values;
}

/// Rows whose texts are all different.
std::vector<TextKey> distinct(int64_t count) {
  std::vector<TextKey> texts;
  for (int64_t i = 0; i < count; ++i) texts.push_back({i, i});
  return texts;
}

bool suits(const std::vector<TextKey>& texts, size_t a, size_t b) {
  return a != b && texts[a].prompt != texts[b].prompt && texts[a].completion != texts[b].completion;
}

/// The largest number of rows with a lender each to itself, by trying all choices.
int64_t largest_matching(const std::vector<TextKey>& texts, size_t row = 0, unsigned taken = 0) {
  if (row == texts.size()) return 0;
  int64_t best = largest_matching(texts, row + 1, taken);
  for (size_t lender = 0; lender < texts.size(); ++lender) {
    if (suits(texts, row, lender) && !(taken >> lender & 1u)) {
      best = std::max(best, 1 + largest_matching(texts, row + 1, taken | 1u << lender));
    }
  }
  return best;
}

void expect_sound_partners(const std::vector<TextKey>& texts, const std::vector<int64_t>& partners) {
  ASSERT_EQ(partners.size(), texts.size());
  for (size_t row = 0; row < texts.size(); ++row) {
    bool has_candidate = false;
    for (size_t other = 0; other < texts.size(); ++other) has_candidate |= suits(texts, row, other);
    if (partners[row] < 0) {
      EXPECT_FALSE(has_candidate) << "row " << row << " has no partner, but there is one";
    } else {
      EXPECT_TRUE(suits(texts, row, static_cast<size_t>(partners[row]))) << "row " << row;
    }
  }
}

TEST(EpochOrder, IsAPermutationThatDependsOnSeedAndEpoch) {
  const auto first = epoch_order(42, 0, 1000);
  EXPECT_EQ(sorted(first), counting(1000));
  EXPECT_EQ(first, epoch_order(42, 0, 1000));
  EXPECT_NE(first, epoch_order(42, 1, 1000));
  EXPECT_NE(first, epoch_order(43, 0, 1000));
  EXPECT_NE(first, epoch_order(42 + (uint64_t{1} << 32), 0, 1000));
}

TEST(EpochOrder, StaysTheSameForEver) {
  // A change here changes every run that somebody wants to repeat.
  EXPECT_EQ(epoch_order(42, 3, 10), (std::vector<int64_t>{1, 5, 8, 7, 3, 6, 4, 0, 9, 2}));
}

TEST(EpochOrder, PutsEachExampleInEachPlaceEquallyOften) {
  // 6000 draws of 6: each cell is binomial with mean 1000 and deviation 29; 6 deviations leave room.
  int64_t counts[6][6] = {};
  for (int64_t epoch = 0; epoch < 6000; ++epoch) {
    const auto order = epoch_order(7, epoch, 6);
    for (size_t place = 0; place < 6; ++place) ++counts[place][order[place]];
  }
  for (const auto& row : counts) {
    for (const int64_t count : row) EXPECT_NEAR(static_cast<double>(count), 1000, 175);
  }
}

TEST(Partners, AreADerangementWhereAllTextsDiffer) {
  for (const int64_t count : {2, 3, 4, 17, 256}) {
    for (int64_t step = 0; step < 20; ++step) {
      const auto texts = distinct(count);
      const auto partners = draw_partners(1, 0, step, texts);
      expect_sound_partners(texts, partners);
      EXPECT_EQ(sorted(partners), counting(count));
    }
  }
}

TEST(Partners, AreNoneForARowAloneAndForRowsOfOnePromptOrOneCompletion) {
  EXPECT_EQ(draw_partners(1, 0, 0, distinct(1)), (std::vector<int64_t>{-1}));
  const std::vector<TextKey> one_prompt{{5, 0}, {5, 1}, {5, 2}}, one_completion{{0, 5}, {1, 5}};
  EXPECT_EQ(draw_partners(1, 0, 0, one_prompt), (std::vector<int64_t>{-1, -1, -1}));
  EXPECT_EQ(draw_partners(1, 0, 0, one_completion), (std::vector<int64_t>{-1, -1}));
}

TEST(Partners, ShareACompletionOnlyWhereNoPermutationServesAll) {
  const std::vector<TextKey> texts{{0, 0}, {0, 1}, {0, 2}, {1, 3}};
  const auto partners = draw_partners(1, 0, 0, texts);
  EXPECT_EQ((std::vector<int64_t>(partners.begin(), partners.begin() + 3)), (std::vector<int64_t>{3, 3, 3}));
  expect_sound_partners(texts, partners);
}

TEST(Partners, SuitAndServeAsManyRowsAsAnyPermutationCould) {
  std::mt19937 engine(1);
  for (int64_t trial = 0; trial < 300; ++trial) {
    std::vector<TextKey> texts(static_cast<size_t>(draw(engine, 7)) + 1);
    const int64_t kinds = draw(engine, 5) + 1;
    for (TextKey& text : texts) text = {draw(engine, kinds), draw(engine, kinds)};
    const auto partners = draw_partners(9, 0, trial, texts);
    expect_sound_partners(texts, partners);
    std::set<int64_t> lenders(partners.begin(), partners.end());
    lenders.erase(-1);
    EXPECT_EQ(std::ssize(lenders), largest_matching(texts)) << "trial " << trial;
  }
}

TEST(Partners, AreFreshForEachStepEpochAndSeed) {
  const auto texts = distinct(64);
  const auto partners = draw_partners(1, 2, 3, texts);
  EXPECT_EQ(partners, draw_partners(1, 2, 3, texts));
  EXPECT_NE(partners, draw_partners(1, 2, 4, texts));
  EXPECT_NE(partners, draw_partners(1, 3, 3, texts));
  EXPECT_NE(partners, draw_partners(2, 2, 3, texts));
}

TEST(Partners, AreFoundQuicklyInALargeBatchOfFewPrompts) {
  std::vector<TextKey> texts;
  for (int64_t i = 0; i < 2048; ++i) texts.push_back({i % 5 < 3 ? 0 : i, i});
  expect_sound_partners(texts, draw_partners(1, 0, 0, texts));
}

TEST(BatchPlan, CoversEachEpochOnceAndKeepsTheLastPartialStep) {
  BatchPlan plan(42, distinct(10), 4);
  EXPECT_EQ(plan.steps_per_epoch(), 3);
  EXPECT_EQ(plan.steps_in(2), 6);
  EXPECT_EQ(plan.steps_in(0.5), 2);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<int64_t> seen;
    for (int64_t i = 0; i < 3; ++i) {
      const StepPlan step = plan.step(3 * epoch + i);
      EXPECT_EQ(step.epoch, epoch);
      EXPECT_EQ(step.examples.size(), i < 2 ? 4u : 2u);
      EXPECT_EQ(sorted(step.partners), sorted(step.examples));
      seen.insert(seen.end(), step.examples.begin(), step.examples.end());
    }
    EXPECT_EQ(sorted(seen), counting(10));
    EXPECT_EQ(seen, epoch_order(42, epoch, 10));
  }
}

TEST(BatchPlan, GivesTheSameStepWhereverARunBegins) {
  BatchPlan whole(7, distinct(50), 8), resumed(7, distinct(50), 8);
  std::vector<StepPlan> steps;
  for (int64_t step = 0; step < 20; ++step) steps.push_back(whole.step(step));
  for (int64_t step = 19; step >= 0; --step) {
    const StepPlan again = resumed.step(step);
    EXPECT_EQ(again.examples, steps[static_cast<size_t>(step)].examples);
    EXPECT_EQ(again.partners, steps[static_cast<size_t>(step)].partners);
  }
}

TEST(BatchPlan, InBlocksKeepsTheOrderAndRotatesPartnersWithinABlock) {
  BatchPlan plan = BatchPlan::in_blocks(9, 8, 4);
  EXPECT_EQ(plan.steps_per_epoch(), 2);
  const StepPlan first = plan.step(0), last = plan.step(1), again = plan.step(2);
  EXPECT_EQ(first.examples, counting(8));
  EXPECT_EQ(first.partners, (std::vector<int64_t>{3, 0, 1, 2, 7, 4, 5, 6}));
  EXPECT_EQ(first.groups, (std::vector<int64_t>{0, 4, 8}));
  // A block of one row lends to itself, as TRL's does.
  EXPECT_EQ(last.examples, (std::vector<int64_t>{8}));
  EXPECT_EQ(last.partners, (std::vector<int64_t>{8}));
  EXPECT_EQ(last.groups, (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(again.examples, first.examples);
  EXPECT_EQ(again.epoch, 1);
}

TEST(BatchPlan, ShuffledStepsAreOneLossGroup) {
  BatchPlan plan(42, distinct(10), 4);
  EXPECT_EQ(plan.step(0).groups, (std::vector<int64_t>{0, 4}));
  EXPECT_EQ(plan.step(2).groups, (std::vector<int64_t>{0, 2}));
}

TEST(Split, TakesEachIndexOnceWithinTheBudgetForAnyNumberOfRanks) {
  std::mt19937 engine(2);
  for (int trial = 0; trial < 100; ++trial) {
    std::vector<int64_t> lengths(static_cast<size_t>(draw(engine, 40)));
    for (int64_t& length : lengths) length = 1 + draw(engine, 120);
    const int64_t ranks = 1 + draw(engine, 5), budget = 100;
    const auto split = split_by_tokens(lengths, budget, ranks);
    EXPECT_EQ(std::ssize(split), ranks);
    EXPECT_EQ(split, split_by_tokens(lengths, budget, ranks));
    std::vector<int64_t> seen, loads;
    for (const auto& batches : split) {
      int64_t load = 0;
      for (const MicroBatch& batch : batches) {
        int64_t tokens = 0;
        for (const int64_t index : batch) tokens += lengths[static_cast<size_t>(index)];
        EXPECT_TRUE(tokens <= budget || batch.size() == 1);
        EXPECT_FALSE(batch.empty());
        seen.insert(seen.end(), batch.begin(), batch.end());
        load += tokens;
      }
      loads.push_back(load);
    }
    EXPECT_EQ(sorted(seen), counting(std::ssize(lengths)));
    // The last sequence that the fullest rank took found it the emptiest.
    if (!lengths.empty()) {
      const auto [least, most] = std::minmax_element(loads.begin(), loads.end());
      EXPECT_LE(*most - *least, *std::max_element(lengths.begin(), lengths.end()));
    }
  }
}

TEST(Split, FillsMicroBatches) {
  const std::vector<int64_t> lengths{60, 400, 600, 40, 600, 1200, 400};
  const std::vector<std::vector<MicroBatch>> expected{{{5}, {1, 2}, {4, 6}, {0, 3}}};
  EXPECT_EQ(split_by_tokens(lengths, 1000), expected);
}

}  // namespace
}  // namespace prospect::test
