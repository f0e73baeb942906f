#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/model.h"
#include "model/tokenizer.h"
#include "tests/support/command.h"
#include "tests/support/json_lines.h"
#include "tests/support/temporary_folder.h"

namespace prospect::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const std::string kLlama = PROSPECT_SOURCE_DIR "/tests/golden/parity/llama";
const std::string kTiny = PROSPECT_SOURCE_DIR "/train/demo/tiny-reviews";
const std::string kRows = kLlama + "/rows48.jsonl";
/// In no row of the fixtures.
constexpr const char* kRare = "@";
constexpr int kRareLine = 5;

/// Rows of which one holds the rare character.
std::string rows_with_a_rare_one(const TemporaryFolder& folder) {
  std::string text;
  for (int line = 1; line <= 12; ++line) {
    text += fmt::format("{{\"prompt\": \"row {} of\", \"completion\": \" bread {}\", \"label\": {}}}\n",
                        line == kRareLine ? kRare : std::to_string(line), 3 * line, line % 2 == 0);
  }
  return folder.write("rows.jsonl", text);
}

/// The fixture, but not a number for the rare character: a step is sound where its rows do without it.
std::string model_without_the_rare_one(const TemporaryFolder& folder) {
  const Model model = load_model(kLlama, {}, Device::cpu());
  const auto token = Tokenizer::load(kLlama).encode(kRare).back();
  model.parameters["embedding.tokens.weight"].value().rows(token, token + 1).data<float>()[0] = std::nanf("");
  fs::create_directory(folder / "model");
  save_model({}, model, folder / "model", kLlama);
  return folder / "model";
}

/// The fixture in double, with logits so far apart that every log-ratio is finite but the sum of twelve is
/// not.
std::string model_beyond_sums(const TemporaryFolder& folder) {
  Model model = load_model(kLlama, {.dtype = DType::F64}, Device::cpu());
  model.stored_dtype = "F64";
  const Tensor norm = model.parameters["final_norm.weight"].value();
  for (int64_t i = 0; i < norm.count(); ++i) norm.data<double>()[i] *= 5e306;
  fs::create_directory(folder / "model");
  save_model({}, model, folder / "model", kLlama);
  return folder / "model";
}

std::vector<std::string> train_words(const std::string& model, const std::string& data,
                                     const std::string& out, std::vector<std::string> more) {
  std::vector<std::string> words{"train", "--model",
                                 model,   "--data",
                                 data,    "--out",
                                 out,     "--per-device-train-batch-size",
                                 "4",     "--logging-steps",
                                 "1",     "--threads",
                                 "1",     "--reference-cache",
                                 "none"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Nine steps, of which the three with the rare row are skipped.
std::vector<std::string> skipping_words(const TemporaryFolder& folder, const std::string& out,
                                        std::vector<std::string> more = {}) {
  more.insert(more.end(), {"--reference", kLlama, "--num-train-epochs", "3", "--learning-rate", "1e-3"});
  return train_words(folder / "model", folder / "rows.jsonl", out, std::move(more));
}

Json last_line(const std::string& run) {
  return json_lines(run + "/metrics.jsonl").back();
}

int64_t count_of(const std::string& words, const std::string& text) {
  int64_t count = 0;
  for (size_t at = 0; (at = text.find(words, at)) != std::string::npos; ++at) ++count;
  return count;
}

/// The last line of standard error, which says why a run ended.
std::string last_words(const CommandResult& result) {
  const size_t begin = result.err.rfind('\n', result.err.size() - 2);
  return result.err.substr(begin == std::string::npos ? 0 : begin + 1);
}

void expect_words(const std::string& text, const std::vector<std::string>& words) {
  for (const std::string& word : words) EXPECT_NE(text.find(word), std::string::npos) << text;
}

TEST(SkippedSteps, ChangeNothingAndLeaveTheirRows) {
  const TemporaryFolder folder;
  rows_with_a_rare_one(folder);
  model_without_the_rare_one(folder);
  const CommandResult result = prospect(skipping_words(folder, folder / "run"));
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(count_of("the loss is not a finite number", result.err), 3) << result.err;
  EXPECT_EQ(count_of("rows.jsonl:5", result.err), 3) << result.err;
  expect_words(result.err, {"the step is skipped, 1 of at most 3", "3 of at most 3"});
  EXPECT_EQ(last_line(folder / "run").at("run/skipped"), 3);
  int64_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder / "run/skipped")) {
    EXPECT_EQ(count_of(std::string("row ") + kRare + " of", read_file(entry.path())), 1) << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 3);
  // The rows that were left out are data again.
  const fs::path first = fs::directory_iterator(folder / "run/skipped")->path();
  EXPECT_EQ(prospect(train_words(kLlama, first, folder / "again", {"--max-steps", "1"})).code, 0);
}

TEST(SkippedSteps, BeyondTheBudgetEndTheRunWithACheckpoint) {
  const TemporaryFolder folder;
  rows_with_a_rare_one(folder);
  model_without_the_rare_one(folder);
  const CommandResult result =
      prospect(skipping_words(folder, folder / "run", {"--max-skipped-steps", "1", "--save-steps", "0"}));
  EXPECT_EQ(result.code, 79);
  expect_words(last_words(result),
               {"stopped after step", "with a checkpoint", "the loss is not a finite number", "rows.jsonl:5",
                "1 steps were skipped before, as many as --max-skipped-steps allows",
                "go on after this step with: prospect train --out " + (folder / "run") +
                    " --resume --max-skipped-steps 4"});
  EXPECT_FALSE(fs::exists(folder / "run/model"));
  EXPECT_EQ(prospect({"train", "--out", folder / "run", "--resume", "--max-skipped-steps", "3"}).code, 0);
  ASSERT_EQ(prospect(skipping_words(folder, folder / "whole")).code, 0);
  EXPECT_EQ(read_file(folder / "run/model/model.safetensors"),
            read_file(folder / "whole/model/model.safetensors"));
}

TEST(SkippedSteps, AResumedRunCountsOnAndEndsInTheSameBytes) {
  const TemporaryFolder folder;
  rows_with_a_rare_one(folder);
  model_without_the_rare_one(folder);
  ASSERT_EQ(
      prospect(skipping_words(folder, folder / "whole", {"--save-steps", "1", "--save-total-limit", "9"}))
          .code,
      0);
  for (int stopped = 1; stopped < 9; ++stopped) {
    const std::string run = folder / "resumed";
    fs::remove_all(run);
    fs::copy(folder / "whole", run, fs::copy_options::recursive);
    fs::remove_all(run + "/model");
    for (int step = stopped + 1; step <= 9; ++step) {
      fs::remove_all(fmt::format("{}/checkpoints/step-{:08}", run, step));
    }
    const CommandResult result = prospect({"train", "--out", run, "--resume", "--save-steps", "0"});
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(last_line(run).at("run/skipped"), 3) << "stopped after step " << stopped;
    EXPECT_EQ(read_file(run + "/model/model.safetensors"),
              read_file(folder / "whole/model/model.safetensors"))
        << "stopped after step " << stopped;
  }
}

TEST(SkippedSteps, WithAGradientThatIsNotFiniteNameAllRows) {
  const TemporaryFolder folder;
  // Slopes beyond single precision, of a loss that is finite in double.
  const CommandResult result = prospect(train_words(kLlama, kRows, folder / "run",
                                                    {"--desirable-weight", "1e42", "--undesirable-weight",
                                                     "1e42", "--max-steps", "6", "--no-stop-on-collapse"}));
  EXPECT_EQ(result.code, 79);
  EXPECT_EQ(count_of("the gradient is not a finite number", result.err), 4) << result.err;
  expect_words(last_words(result), {"stopped after step 4 of 6", "3 steps were skipped before"});
  for (int step = 1; step <= 4; ++step) {
    const std::string rows = read_file(folder / fmt::format("run/skipped/step-{:08}.jsonl", step));
    EXPECT_EQ(count_of("\n", rows), 4) << "the rows of a step";
  }
}

TEST(SkippedSteps, WhereOnlyASumIsNotFiniteNameAllRows) {
  const TemporaryFolder folder;
  const std::string rows = rows_with_a_rare_one(folder);
  auto words =
      train_words(model_beyond_sums(folder), rows, folder / "run",
                  {"--reference", kLlama, "--dtype", "f64", "--max-steps", "1", "--eval-data", rows});
  *(std::find(words.begin(), words.end(), "--per-device-train-batch-size") + 1) = "12";
  const CommandResult result = prospect(words);
  EXPECT_EQ(result.code, 0);
  expect_words(result.err, {"the loss is not a finite number; its rows: rows.jsonl:1, rows.jsonl:2",
                            "held-out rows is not a finite number: rows.jsonl:1, rows.jsonl:2"});
  EXPECT_EQ(count_of("\n", read_file(folder / "run/skipped/step-00000001.jsonl")), 12);
}

TEST(Evaluation, OfRowsThatAreNotFiniteIsLeftOut) {
  const TemporaryFolder folder;
  const std::string rare = rows_with_a_rare_one(folder);
  model_without_the_rare_one(folder);
  const CommandResult result =
      prospect(train_words(folder / "model", kRows, folder / "run",
                           {"--reference", kLlama, "--eval-data", rare, "--max-steps", "2"}));
  EXPECT_EQ(result.code, 0) << result.err;
  expect_words(result.err, {"not evaluated", "rows.jsonl:5"});
  EXPECT_EQ(read_file(folder / "run/metrics.jsonl").find("eval_"), std::string::npos);
}

class Collapse : public testing::TestWithParam<std::string> {};

TEST_P(Collapse, StopsTheRunWithACheckpointAndTheReason) {
  const TemporaryFolder folder;
  const std::vector<std::string> more{"--learning-rate", "1", "--max-steps", "50", "--save-steps", "0"};
  const CommandResult result = prospect(train_words(GetParam(), kRows, folder / "run", more));
  EXPECT_EQ(result.code, 79) << result.err;
  expect_words(last_words(result), {"stopped after step", "with a checkpoint", "the model has collapsed",
                                    "--learning-rate (now 1)"});
  EXPECT_FALSE(fs::exists(folder / "run/model"));
  EXPECT_FALSE(fs::is_empty(folder / "run/checkpoints"));
}

INSTANTIATE_TEST_SUITE_P(Models, Collapse, testing::Values(kLlama, kTiny),
                         [](const auto& info) { return info.param == kLlama ? "Llama" : "TinyReviews"; });

TEST(Collapse, StopsAResumedRunAfterTheSameStep) {
  const TemporaryFolder folder;
  const auto words = train_words(
      kLlama, kRows, folder / "run",
      {"--learning-rate", "1", "--max-steps", "50", "--save-steps", "1", "--save-total-limit", "3"});
  const CommandResult whole = prospect(words);
  ASSERT_EQ(whole.code, 79) << whole.err;
  std::vector<fs::path> checkpoints;
  for (const auto& entry : fs::directory_iterator(folder / "run/checkpoints"))
    checkpoints.push_back(entry.path());
  std::sort(checkpoints.begin(), checkpoints.end());
  ASSERT_EQ(checkpoints.size(), 4u) << "that of the collapsed model costs no other";
  for (size_t i = 1; i < checkpoints.size(); ++i) fs::remove_all(checkpoints[i]);
  const CommandResult resumed = prospect({"train", "--out", folder / "run", "--resume"});
  EXPECT_EQ(resumed.code, 79);
  EXPECT_EQ(last_words(resumed), last_words(whole));
}

TEST(Collapse, OnlyWarnsWhenToldSo) {
  const TemporaryFolder folder;
  const CommandResult result = prospect(train_words(
      kLlama, kRows, folder / "run", {"--learning-rate", "1", "--max-steps", "30", "--no-stop-on-collapse"}));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(count_of("the model has collapsed", result.err), 1) << result.err;
  EXPECT_TRUE(fs::exists(folder / "run/model"));
}

std::string rows_of_label(const TemporaryFolder& folder, const char* label) {
  std::string text;
  for (int i = 0; i < 12; ++i) {
    text += fmt::format("{{\"prompt\": \"row {0} of\", \"completion\": \" bread {1}\", \"label\": {2}}}\n", i,
                        3 * i, label);
  }
  return folder.write("rows.jsonl", text);
}

TEST(Collapse, IsNoMatterOfLabelsThatAreAllTheSame) {
  for (const char* label : {"true", "false"}) {
    const TemporaryFolder folder;
    const CommandResult result = prospect(train_words(kLlama, rows_of_label(folder, label), folder / "run",
                                                      {"--learning-rate", "1e-3", "--max-steps", "40"}));
    EXPECT_EQ(result.code, 0) << result.err;
    expect_words(result.err, {"all 12 rows are", "KTO can only push in one direction"});
  }
}

TEST(Collapse, OfUndesirableRowsIsWhatTheyAskForAndSaidToTeachNothing) {
  const TemporaryFolder folder;
  const CommandResult result = prospect(train_words(kLlama, rows_of_label(folder, "false"), folder / "run",
                                                    {"--learning-rate", "1", "--max-steps", "40"}));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_LT(last_line(folder / "run").at("rewards/rejected").get<double>(), -100);
  expect_words(result.err, {"100 % of the rows are saturated", "or stop earlier"});
}

}  // namespace
}  // namespace prospect::test
