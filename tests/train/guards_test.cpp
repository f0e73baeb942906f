#include "train/guards.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/errors.h"

namespace prospect::test {
namespace {

constexpr Guards::Options kOptions{.beta = 0.1, .learning_rate = 1e-3, .warmup_steps = 10};

/// A step of a run that learns: 16 rows, desirable ones 5 nats up, undesirable ones 5 down.
StepSigns healthy(int64_t step) {
  return {.step = step,
          .rows = 16,
          .saturated = 2,
          .chosen_rows = 8,
          .lost = 0,
          .chosen = 5 + std::sin(static_cast<double>(step)),
          .rejected = -5 + std::cos(static_cast<double>(step)),
          .grad_norm = 2,
          .z0 = 2,
          .z0_error = 1.5,
          .pairs = 16};
}

/// A step of a run whose model knows nothing any more.
StepSigns collapsed(int64_t step) {
  StepSigns signs = healthy(step);
  signs.lost = 8;
  signs.chosen = signs.rejected = -500;
  signs.z0 = 0;
  signs.grad_norm = 1e-5;
  return signs;
}

/// The warnings of `steps` steps after healthy ones, in which `change` has changed something.
template <class Change>
std::vector<std::string> warnings_of(Guards& guards, int64_t first, int64_t steps, const Change& change) {
  std::vector<std::string> all;
  for (int64_t step = first; step < first + steps; ++step) {
    StepSigns signs = healthy(step);
    change(signs);
    for (std::string& text : guards.observe(signs)) all.push_back(std::move(text));
  }
  return all;
}

void expect_words(const std::string& text, const std::vector<std::string>& words) {
  for (const std::string& word : words) EXPECT_NE(text.find(word), std::string::npos) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

/// The sign warns once, at its fifth step on end, and again when it has been away for five.
template <class Change>
void expect_one_warning_a_time(const std::vector<std::string>& words, const Change& change) {
  const auto leave = [](StepSigns&) {};
  Guards guards(kOptions);
  EXPECT_TRUE(warnings_of(guards, 1, 80, leave).empty());
  EXPECT_TRUE(warnings_of(guards, 81, 4, change).empty());
  const auto first = warnings_of(guards, 85, 1, change);
  ASSERT_EQ(first.size(), 1u);
  expect_words(first[0], words);
  EXPECT_TRUE(warnings_of(guards, 86, 50, change).empty());
  EXPECT_TRUE(warnings_of(guards, 136, 4, leave).empty());
  EXPECT_TRUE(warnings_of(guards, 140, 20, change).empty()) << "it was never away for long";
  EXPECT_TRUE(warnings_of(guards, 160, 5, leave).empty());
  EXPECT_EQ(warnings_of(guards, 165, 50, change).size(), 1u);
}

TEST(Guards, AreSilentWhileARunLearns) {
  Guards guards(kOptions);
  EXPECT_TRUE(warnings_of(guards, 1, 2000, [](StepSigns&) {}).empty());
  EXPECT_EQ(guards.collapse(healthy(2001)), "");
}

TEST(Guards, WarnOfSaturatedRows) {
  expect_one_warning_a_time({"step 85: 75 % of the rows are saturated", "lower --learning-rate (now 0.001)"},
                            [](StepSigns& signs) { signs.saturated = 12; });
}

TEST(Guards, WarnOfAZ0ThatIsMostlyNoise) {
  expect_one_warning_a_time(
      {"step 85: z0 is 2 nats with a standard error of 25, from 16 pairs", "7 times the rows",
       "--gradient-accumulation-steps"},
      [](StepSigns& signs) { signs.z0_error = 25; });  // (25 / 10)^2: x moves by one where z0 does by 10 nats
  Guards without_z0({.beta = 0.1, .estimates_z0 = false});
  EXPECT_TRUE(warnings_of(without_z0, 1, 50, [](StepSigns& signs) { signs.z0_error = 25; }).empty());
}

TEST(Guards, WarnOfRewardsThatFallTogether) {
  Guards guards(kOptions);
  const auto fall = [](double slope_of_chosen) {
    return [=](StepSigns& signs) {
      signs.chosen = 20 - slope_of_chosen * static_cast<double>(signs.step);
      signs.rejected = 20 - 1.0 * static_cast<double>(signs.step);
    };
  };
  const auto warnings = warnings_of(guards, 1, 100, fall(0.9));
  ASSERT_EQ(warnings.size(), 1u);
  expect_words(warnings[0],
               {"less likely together (rewards -3.", "lower --learning-rate", "raise --beta (0.1)"});
  Guards apart(kOptions);
  EXPECT_TRUE(warnings_of(apart, 1, 100, fall(-0.1)).empty()) << "desirable rows rise";
  Guards once(kOptions);
  EXPECT_TRUE(
      warnings_of(once, 1, 100, [](StepSigns& signs) { signs.chosen = signs.rejected = -50; }).empty())
      << "far below the reference, but not on the move";
}

TEST(Guards, WarnOfAModelThatDoesNotMove) {
  Guards guards(kOptions);
  const auto still = [](StepSigns& signs) { signs.chosen = signs.rejected = 0.002; };
  EXPECT_TRUE(warnings_of(guards, 1, 64, still).empty());
  const auto warnings = warnings_of(guards, 65, 1, still);  // 10 of warm-up, 50 and 5
  ASSERT_EQ(warnings.size(), 1u);
  expect_words(warnings[0], {"0.002 nats", "raise --learning-rate (now 0.001)"});
  EXPECT_TRUE(warnings_of(guards, 66, 500, still).empty());
  Guards moved(kOptions);
  warnings_of(moved, 1, 1, [](StepSigns&) {});
  EXPECT_TRUE(warnings_of(moved, 2, 500, still).empty()) << "it has moved before";
}

TEST(Guards, StopARunThatIsLostForTenSteps) {
  Guards guards(kOptions);
  guards.observe(healthy(1));
  for (int64_t step = 2; step <= 10; ++step) {
    guards.observe(collapsed(step));
    EXPECT_EQ(guards.collapse(collapsed(step)), "") << step;
  }
  guards.observe(collapsed(11));
  expect_words(guards.collapse(collapsed(11)), {"for 10 steps 100 % of the desirable rows", "reward -50",
                                                "lower --learning-rate (now 0.001)"});
  guards.observe(healthy(12));
  EXPECT_EQ(guards.collapse(healthy(12)), "");
}

TEST(Guards, StepsWithoutDesirableRowsNeitherCountNorInterruptACollapse) {
  Guards guards(kOptions);
  guards.observe(healthy(1));
  int64_t step = 2;
  for (int64_t lost = 0; lost < 10; ++lost) {
    guards.observe(collapsed(step++));
    StepSigns without = collapsed(step++);
    without.chosen.reset();
    without.chosen_rows = without.lost = 0;
    guards.observe(without);
    EXPECT_EQ(guards.collapse(without), "");
  }
  EXPECT_NE(guards.collapse(collapsed(step)), "");
}

TEST(Guards, DoNotStopARunWhoseReferenceWasThatFarAway) {
  Guards guards(kOptions);
  for (int64_t step = 1; step <= 100; ++step) {
    guards.observe(collapsed(step));
    EXPECT_EQ(guards.collapse(collapsed(step)), "");
  }
}

TEST(Guards, DoNotStopARunThatStillHasAGradient) {
  Guards guards(kOptions);
  guards.observe(healthy(1));
  for (int64_t step = 2; step <= 100; ++step) {
    StepSigns signs = collapsed(step);
    signs.grad_norm = 0.05;
    guards.observe(signs);
    EXPECT_EQ(guards.collapse(signs), "");
  }
}

TEST(Guards, WarnOnceOfACollapseThatDoesNotStopTheRun) {
  Guards guards(kOptions);
  guards.observe(healthy(1));
  int64_t warnings = 0;
  for (int64_t step = 2; step <= 100; ++step) {
    for (const std::string& text : guards.observe(collapsed(step)))
      warnings += text.find("collapsed") != std::string::npos;
  }
  EXPECT_EQ(warnings, 1);
}

/// Signs that raise and end all warnings within a few hundred steps.
StepSigns changing(int64_t step) {
  StepSigns signs = step / 20 % 3 == 2 ? collapsed(step) : healthy(step);
  if (step / 7 % 2 == 1) signs.saturated = 16;
  if (step / 9 % 2 == 1) signs.z0_error = 100;
  if (step % 5 == 0) signs.chosen.reset();
  return signs;
}

TEST(Guards, AfterACheckpointAreAsTheyWere) {
  for (int64_t saved = 0; saved <= 90; ++saved) {
    Guards whole(kOptions), resumed(kOptions);
    for (int64_t step = 1; step <= saved; ++step) whole.observe(changing(step));
    const std::vector<double> state = whole.state();
    resumed.restore(state);
    std::string said;
    for (int64_t step = saved + 1; step <= 180; ++step) {
      const std::vector<std::string> warnings = whole.observe(changing(step));
      for (const std::string& text : warnings) said += text + "; ";
      ASSERT_EQ(warnings, resumed.observe(changing(step)));
      ASSERT_EQ(whole.collapse(changing(step)), resumed.collapse(changing(step)));
    }
    ASSERT_EQ(whole.state(), resumed.state());
    expect_words(said, {"saturated", "z0 is", "grow less likely together", "has collapsed"});
  }
}

TEST(Guards, RefuseAStateOfAnotherSize) {
  Guards guards(kOptions);
  std::vector<double> state = guards.state();
  state.push_back(0);
  const auto restore = [&] { guards.restore(state, "state.json guards"); };
  EXPECT_TRUE(fails(ExitCode::BadData, "state.json guards: has", restore));
  state.resize(3);
  EXPECT_TRUE(fails(ExitCode::BadData, "has 3 numbers", restore));
}

TEST(StepSigns, AreThoseOfAllLossGroups) {
  using S = Statistics;
  StepRecord record;
  record.groups.resize(2);
  for (const size_t g : {0, 1}) {
    S& sums = record.groups[g].statistics;
    sums[S::kChosenRows] = 1;
    sums[S::kChosenRatio] = g == 0 ? -100 : 20;
    sums[S::kKlCount] = 2;
    sums[S::kKlSum] = 4;
    sums[S::kKlSquares] = 10;  // 1 and 3: a standard error of 1
    record.groups[g].z0 = 2;
  }
  record.groups[0].statistics[S::kLost] = 1;
  record.groups[0].statistics[S::kSaturated] = 1;
  const StepSigns signs = StepSigns::of(record, 9);
  EXPECT_EQ(signs.step, 9);
  EXPECT_EQ(signs.rows, 2);
  EXPECT_EQ(signs.saturated, 1);
  EXPECT_EQ(signs.lost, 1);
  EXPECT_DOUBLE_EQ(*signs.chosen, -40);
  EXPECT_FALSE(signs.rejected.has_value());
  EXPECT_DOUBLE_EQ(signs.z0, 2);
  EXPECT_DOUBLE_EQ(signs.z0_error, 1);
  EXPECT_EQ(signs.pairs, 2);
}

}  // namespace
}  // namespace prospect::test
