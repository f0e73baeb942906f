#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "kernels/common/error.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

namespace prospect::test {
namespace {

const std::string kModel = PROSPECT_SOURCE_DIR "/tests/golden/parity/gpt2";

std::vector<std::string> train_words(const std::string& out, const char* steps) {
  return {"train",
          "--model",
          kModel,
          "--data",
          kModel + "/rows.jsonl",
          "--out",
          out,
          "--max-steps",
          steps,
          "--learning-rate",
          "1e-4",
          "--per-device-train-batch-size",
          "4",
          "--logging-steps",
          "1",
          "--save-steps",
          "0",
          "--threads",
          "1"};
}

/// Waits until the run has written its first metrics, for at most 20 seconds.
bool wait_for_metrics(const std::string& out) {
  for (int i = 0; i < 2000; ++i) {
    if (read_file(out + "/metrics.jsonl").find('\n') != std::string::npos) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

class Stop : public testing::TestWithParam<int> {};

TEST_P(Stop, WritesACheckpointFromWhichTheRunEndsInTheSameBytes) {
  // Enough steps that the signal comes long before the last.
  constexpr const char* kSteps = "150";
  const TemporaryFolder folder;
  const pid_t child = start(train_words(folder / "run", kSteps), folder / "log");
  ASSERT_TRUE(wait_for_metrics(folder / "run"));
  ::kill(child, GetParam());
  EXPECT_EQ(exit_code_of(child), static_cast<int>(ExitCode::Preempted)) << read_file(folder / "log");
  EXPECT_FALSE(std::filesystem::exists(folder / "run/model"));
  ASSERT_EQ(prospect({"train", "--out", folder / "run", "--resume"}).code, 0);
  ASSERT_EQ(prospect(train_words(folder / "whole", kSteps)).code, 0);
  EXPECT_EQ(read_file(folder / "run/model/model.safetensors"),
            read_file(folder / "whole/model/model.safetensors"));
}

INSTANTIATE_TEST_SUITE_P(Signals, Stop, testing::Values(SIGINT, SIGTERM, SIGUSR1));

}  // namespace
}  // namespace prospect::test
