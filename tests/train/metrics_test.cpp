#include "train/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "tests/support/errors.h"

namespace prospect::test {
namespace {

using S = Statistics;

StepRecord record_of(double chosen_rows, double chosen_ratio, double rejected_rows, double rejected_ratio) {
  GroupRecord group;
  group.statistics[S::kChosenRows] = chosen_rows;
  group.statistics[S::kChosenRatio] = chosen_ratio;
  group.statistics[S::kChosenTokens] = chosen_rows;
  group.statistics[S::kRejectedRows] = rejected_rows;
  group.statistics[S::kRejectedRatio] = rejected_ratio;
  group.statistics[S::kRejectedTokens] = rejected_rows;
  group.statistics[S::kLossSum] = 0.5;
  return {{group}, 0};
}

std::string read_all(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(Metrics, RewardsAreWeightedByRowsNotBySteps) {
  MetricsWindow window;
  window.add(record_of(1, 10, 1, -2));
  window.add(record_of(3, 30 + 20, 0, 0));
  const Metrics metrics = window.metrics(0.1);
  EXPECT_DOUBLE_EQ(find_metric(metrics, "rewards/chosen", 0), 0.1 * 60 / 4);
  EXPECT_DOUBLE_EQ(find_metric(metrics, "rewards/rejected", 0), -0.2);
  EXPECT_DOUBLE_EQ(find_metric(metrics, "rewards/margins", 0), 1.7);
  EXPECT_DOUBLE_EQ(find_metric(metrics, "loss", 0), 0.5);
}

TEST(Metrics, OfAnEmptyWindowAreNone) {
  for (const Averaging averaging : {Averaging::Rows, Averaging::Groups}) {
    MetricsWindow window(averaging);
    EXPECT_TRUE(window.metrics(0.1).empty());
    window.add(record_of(1, 10, 1, -2));
    EXPECT_FALSE(window.metrics(0.1).empty());
    window.clear();
    EXPECT_TRUE(window.metrics(0.1).empty());
  }
}

TEST(Metrics, AverageOverGroupsIsThatOfTheGroupsWithSuchRows) {
  StepRecord step{{record_of(1, 10, 1, -2).groups[0], record_of(3, 30 + 20, 0, 0).groups[0]}, 0};
  step.groups[0].z0 = 0.5;
  step.groups[1].z0 = 0.25;
  MetricsWindow window(Averaging::Groups), restored(Averaging::Groups);
  window.add(step);
  window.add({{record_of(0, 0, 2, -12).groups[0]}, 0});
  restored.restore(window.state());
  for (const MetricsWindow* each : {&window, &restored}) {
    const Metrics metrics = each->metrics(0.1);
    EXPECT_DOUBLE_EQ(find_metric(metrics, "rewards/chosen", 0), 0.1 * (10 + 50.0 / 3) / 2);
    EXPECT_DOUBLE_EQ(find_metric(metrics, "rewards/rejected", 0), 0.1 * (-2 - 6) / 2);
    EXPECT_DOUBLE_EQ(find_metric(metrics, "rewards/margins", 0), 0.1 * 12);
    EXPECT_DOUBLE_EQ(find_metric(metrics, "kl", 0), 0.25);
    EXPECT_DOUBLE_EQ(find_metric(metrics, "loss", 0), 3 * 0.5 / 2);
  }
}

TEST(Metrics, AbsentLabelLeavesItsMetricsOut) {
  MetricsWindow window;
  window.add(record_of(2, 1, 0, 0));
  EXPECT_EQ(find_metric(window.metrics(0.1), "rewards/rejected", -99), -99);
  EXPECT_EQ(find_metric(window.metrics(0.1), "rewards/margins", -99), -99);
}

TEST(Metrics, StandardErrorIsThatOfTheMean) {
  Statistics sums;
  for (const double ratio : {1.0, 2.0, 4.0}) {
    sums[S::kKlSum] += ratio;
    sums[S::kKlSquares] += ratio * ratio;
    sums[S::kKlCount] += 1;
  }
  EXPECT_NEAR(sums.kl_raw(), 7.0 / 3, 1e-15);
  EXPECT_NEAR(sums.kl_standard_error(), std::sqrt(7.0 / 3 / 3), 1e-15);  // variance 7/3 of three values
  EXPECT_EQ(Statistics().kl_raw(), 0);
}

TEST(Metrics, WindowSurvivesACheckpoint) {
  MetricsWindow window, restored;
  window.add(record_of(1, 10, 1, -2));
  restored.restore(window.state());
  EXPECT_EQ(to_json(restored.metrics(0.1)), to_json(window.metrics(0.1)));
}

TEST(Metrics, WindowRefusesNumbersThatNoWindowHas) {
  MetricsWindow window;
  window.add(record_of(1, 10, 1, -2));
  const std::vector<double> sound = window.state();
  const auto refused = [](const std::vector<double>& state, const std::string& words) {
    return fails(ExitCode::BadData, words, [&] { MetricsWindow().restore(state, "state.json window"); });
  };
  EXPECT_TRUE(refused({}, "state.json window: has 0 numbers"));
  EXPECT_TRUE(refused({sound.begin(), sound.end() - 1}, "state.json window: has"));
  for (const size_t count : {0, 1}) {
    for (const double value : {-1.0, 0.5, 1e300}) {
      std::vector<double> state = sound;
      state[count] = value;
      EXPECT_TRUE(refused(state, "is no count of steps or groups"));
    }
  }
}

TEST(Metrics, NumbersThatAreNoneBecomeNull) {
  EXPECT_EQ(to_json({{"loss", std::nan("")}, {"step", 3}}), "{\"loss\": null, \"step\": 3}");
}

TEST(MetricsLog, ResumeDropsLinesAfterTheCheckpoint) {
  const std::string path = testing::TempDir() + "/metrics_resume.jsonl";
  {
    MetricsLog log({}, path, 0);
    for (const double step : {1.0, 2.0, 3.0}) log.write({{"step", step}});
  }
  std::ofstream(path, std::ios::app) << "{\"step\": \"1\"}\n[1]\n{\"step\": 1e400}\n"
                                     << "{\"step\": 4, \"lo";  // what a crash leaves
  MetricsLog({}, path, 2).write({{"step", 30}});
  EXPECT_EQ(read_all(path), "{\"step\": 1}\n{\"step\": 2}\n{\"step\": 30}\n");
}

}  // namespace
}  // namespace prospect::test
