#include "train/schedule.h"

#include <gtest/gtest.h>

#include <fstream>

namespace prospect::test {
namespace {

TEST(Schedule, EqualsTheSchedulesOfTransformers) {
  std::ifstream file(PROSPECT_SOURCE_DIR "/tests/golden/schedule/schedules.txt");
  std::string name;
  Schedule schedule;
  int cases = 0;
  for (int64_t count = 0;
       file >> name >> schedule.peak >> schedule.warmup_steps >> schedule.total_steps >> count; ++cases) {
    schedule.kind = schedule_kind(name);
    for (int64_t step = 0; step < count; ++step) {
      double expected = 0;
      file >> expected;
      // The same operations on the same numbers; only the cosine may differ, by a bit of its own.
      EXPECT_NEAR(schedule.learning_rate(step), expected, 4e-16 * schedule.peak) << name << " step " << step;
    }
  }
  EXPECT_EQ(cases, 12);
}

TEST(Schedule, GivesTheFirstWarmUpStepARateOfZero) {
  const Schedule schedule{.kind = ScheduleKind::Constant, .peak = 1e-4, .warmup_steps = 4};
  EXPECT_EQ(schedule.learning_rate(0), 0);
  EXPECT_EQ(schedule.learning_rate(4), 1e-4);
}

TEST(Schedule, RefusesAnUnknownName) {
  EXPECT_THROW(schedule_kind("polynomial"), Error);
}

}  // namespace
}  // namespace prospect::test
