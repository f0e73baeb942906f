#include <fmt/core.h>
#include <gtest/gtest.h>

#include "tests/support/command.h"
#include "tests/support/temporary_folder.h"

namespace prospect::test {
namespace {

namespace fs = std::filesystem;

const std::string kLlama = PROSPECT_SOURCE_DIR "/tests/golden/parity/llama";
constexpr int kSteps = 20;

std::string step_name(int step) {
  return fmt::format("step-{:08}", step);
}

/// A GPT-2 that drops a tenth of its activations.
std::string model_with_dropout(const TemporaryFolder& folder) {
  fs::copy(PROSPECT_SOURCE_DIR "/tests/golden/parity/gpt2", folder / "model");
  std::string config = read_file(folder / "model/config.json");
  for (const std::string key : {"\"embd_pdrop\": 0.", "\"resid_pdrop\": 0."}) {
    config.replace(config.find(key), key.size() + 1, key + "1");
  }
  folder.write("model/config.json", config);
  return folder / "model";
}

void train(const std::string& model, const std::string& out) {
  const CommandResult result = prospect({"train",
                                         "--model",
                                         model,
                                         "--data",
                                         kLlama + "/rows.jsonl",
                                         "--out",
                                         out,
                                         "--max-steps",
                                         std::to_string(kSteps),
                                         "--learning-rate",
                                         "1e-3",
                                         "--per-device-train-batch-size",
                                         "4",
                                         "--logging-steps",
                                         "3",
                                         "--save-steps",
                                         "1",
                                         "--save-total-limit",
                                         "100",
                                         "--no-disable-dropout"});
  ASSERT_EQ(result.code, 0) << result.err;
}

/// Metrics without what depends on the clock.
std::string without_speed(std::string text) {
  for (size_t at; (at = text.find("\"tokens_per_second\"")) != std::string::npos;) {
    text.erase(at, text.find(',', at) - at);
  }
  return text;
}

TEST(Resume, AtEveryStepEndsInTheSameBytes) {
  const TemporaryFolder folder;
  train(model_with_dropout(folder), folder / "whole");
  const std::string weights = read_file(folder / "whole/model/model.safetensors");
  const std::string metrics = without_speed(read_file(folder / "whole/metrics.jsonl"));
  ASSERT_FALSE(weights.empty());
  for (int stopped = 1; stopped < kSteps; ++stopped) {
    const std::string run = folder / "resumed";
    fs::remove_all(run);
    fs::copy(folder / "whole", run, fs::copy_options::recursive);
    fs::remove_all(run + "/model");
    for (int step = stopped + 1; step <= kSteps; ++step)
      fs::remove_all(run + "/checkpoints/" + step_name(step));
    const CommandResult result = prospect({"train", "--out", run, "--resume", "--save-steps", "0"});
    ASSERT_EQ(result.code, 0) << result.err;
    ASSERT_EQ(read_file(run + "/model/model.safetensors"), weights) << "stopped after step " << stopped;
    ASSERT_EQ(without_speed(read_file(run + "/metrics.jsonl")), metrics) << "stopped after step " << stopped;
  }
}

TEST(Train, TwoRunsEndInTheSameBytes) {
  const TemporaryFolder folder;
  const std::string model = model_with_dropout(folder);
  train(model, folder / "a");
  train(model, folder / "b");
  EXPECT_EQ(read_file(folder / "a/model/model.safetensors"), read_file(folder / "b/model/model.safetensors"));
  EXPECT_EQ(without_speed(read_file(folder / "a/metrics.jsonl")),
            without_speed(read_file(folder / "b/metrics.jsonl")));
}

TEST(Resume, RefusesOtherData) {
  const TemporaryFolder folder;
  const std::string rows = folder.write("rows.jsonl", read_file(kLlama + "/rows.jsonl"));
  ASSERT_EQ(prospect({"train", "--model", kLlama, "--data", rows, "--out", folder / "run", "--max-steps", "1",
                      "--save-steps", "1"})
                .code,
            0);
  folder.write("rows.jsonl",
               read_file(rows) + "{\"prompt\": \"a\", \"completion\": \" b\", \"label\": true}\n");
  const CommandResult result = prospect({"train", "--out", folder / "run", "--resume"});
  EXPECT_EQ(result.code, 78);
  EXPECT_NE(result.err.find("is not the file that this run was started with"), std::string::npos)
      << result.err;
}

TEST(Resume, RefusesOptionsThatWouldMixTheRows) {
  const TemporaryFolder folder;
  ASSERT_EQ(prospect({"train", "--model", kLlama, "--data", kLlama + "/rows.jsonl", "--out", folder / "run",
                      "--max-steps", "1", "--save-steps", "1"})
                .code,
            0);
  for (const char* option : {"--seed", "--per-device-train-batch-size", "--max-length"}) {
    const CommandResult result = prospect({"train", "--out", folder / "run", "--resume", option, "7"});
    EXPECT_EQ(result.code, 78) << option;
    EXPECT_NE(result.err.find(std::string(option) + ": the run was started with"), std::string::npos)
        << result.err;
  }
  const CommandResult wider = prospect({"train", "--out", folder / "run", "--resume", "--dtype", "f64"});
  EXPECT_EQ(wider.code, 78);
  EXPECT_NE(wider.err.find("--dtype: the run was started with f32"), std::string::npos) << wider.err;
  EXPECT_EQ(prospect({"train", "--out", folder / "run", "--resume", "--max-steps", "2"}).code, 0);
}

/// A run of three steps, as a rule without a checkpoint.
std::vector<std::string> short_run(const std::string& out, const std::string& save_steps = "0") {
  return {"train",       "--model", kLlama,         "--data",   kLlama + "/rows.jsonl", "--out", out,
          "--max-steps", "3",       "--save-steps", save_steps, "--logging-steps",      "1"};
}

TEST(Resume, StartsFromTheFirstStepWhereThereIsNoCheckpointYet) {
  const TemporaryFolder folder;
  ASSERT_EQ(prospect(short_run(folder / "whole")).code, 0);
  // What a run leaves that was killed in its second step.
  fs::create_directories(folder / "run");
  folder.write("run/config.toml", read_file(folder / "whole/config.toml"));
  folder.write("run/metrics.jsonl", "{\"loss\": 0.25, \"step\": 1}\n{\"lo");
  const CommandResult result = prospect({"train", "--out", folder / "run", "--resume"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("no checkpoint yet, so the run starts from its first step"), std::string::npos);
  EXPECT_EQ(read_file(folder / "run/model/model.safetensors"),
            read_file(folder / "whole/model/model.safetensors"));
  EXPECT_EQ(without_speed(read_file(folder / "run/metrics.jsonl")),
            without_speed(read_file(folder / "whole/metrics.jsonl")));
}

TEST(Resume, IsNoErrorInACommandThatStartsTheRun) {
  const TemporaryFolder folder;
  auto words = short_run(folder / "run");
  words.push_back("--resume");
  EXPECT_EQ(prospect(words).code, 0);
  EXPECT_TRUE(fs::exists(folder / "run/model"));
}

TEST(Resume, SaysHowToStartWhereThereIsNoRun) {
  const TemporaryFolder folder;
  const CommandResult result = prospect({"train", "--out", folder / "run", "--resume"});
  EXPECT_EQ(result.code, 66);
  EXPECT_NE(result.err.find("start one without --resume"), std::string::npos) << result.err;
  EXPECT_FALSE(fs::exists(folder / "run"));
}

TEST(Resume, DoesNotRepeatARunThatHasEnded) {
  const TemporaryFolder folder;
  ASSERT_EQ(prospect(short_run(folder / "run")).code, 0);
  const CommandResult result = prospect({"train", "--out", folder / "run", "--resume", "--max-steps", "5"});
  EXPECT_EQ(result.code, 66);
  EXPECT_NE(result.err.find("the run has ended, without checkpoints"), std::string::npos) << result.err;
}

TEST(Resume, DoesNotForgetARunWhoseCheckpointsAreBroken) {
  const TemporaryFolder folder;
  ASSERT_EQ(prospect(short_run(folder / "run", "2")).code, 0);
  for (const auto& entry : fs::directory_iterator(folder / "run/checkpoints")) {
    fs::remove(entry.path() / "state.json");
  }
  fs::remove_all(folder / "run/model");
  const CommandResult result = prospect({"train", "--out", folder / "run", "--resume"});
  EXPECT_EQ(result.code, 65);
  EXPECT_NE(result.err.find("to start again from the first step, delete that folder"), std::string::npos)
      << result.err;
}

}  // namespace
}  // namespace prospect::test
