#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/command.h"
#include "tests/support/temporary_folder.h"

namespace prospect::test {
namespace {

namespace fs = std::filesystem;

const std::string kLlama = PROSPECT_SOURCE_DIR "/tests/golden/parity/llama";
const std::string kSmollm = PROSPECT_SOURCE_DIR "/tests/golden/parity/smollm";
const std::string kRows = kLlama + "/rows.jsonl";

/// The error is one line that contains `words`, the exit code is `code`, and `made` does not exist.
void expect_refusal(const CommandResult& result, int code, const std::string& words,
                    const std::string& made) {
  EXPECT_EQ(result.code, code) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_NE(result.err.find(words), std::string::npos) << result.err;
  EXPECT_FALSE(fs::exists(made)) << made << " was left behind";
}

/// A copy of the Llama fixture whose files can be spoiled.
std::string copy_of_llama(const TemporaryFolder& folder) {
  fs::copy(kLlama, folder / "model", fs::copy_options::recursive);
  return folder / "model";
}

std::vector<std::string> train_words(const std::string& model, const std::string& data,
                                     const std::string& out) {
  return {"train", "--model",     model, "--data",          data,   "--out",
          out,     "--max-steps", "2",   "--learning-rate", "1e-3", "--per-device-train-batch-size",
          "4",     "--threads",   "1"};
}

TEST(CommandLine, NamesAWordThatIsNoCommand) {
  const CommandResult result = prospect({"trian", "--model", kLlama});
  EXPECT_EQ(result.code, 2);
  EXPECT_NE(result.err.find("'trian' is not a command; there are train, score"), std::string::npos)
      << result.err;
}

TEST(CommandLine, NamesAnOptionThatACommandDoesNotHave) {
  for (const char* required : {"--model", "--not-model"}) {
    const CommandResult result = prospect({"train", required, kLlama, "--learning-rte", "1"});
    EXPECT_EQ(result.code, 2);
    const std::string first = std::string(required) == "--model" ? "--learning-rte" : "--not-model";
    EXPECT_TRUE(result.err.starts_with("prospect: '" + first + "' is not an option of prospect train\n"))
        << result.err;
  }
  const CommandResult word = prospect({"score", "--model", kLlama, "rows.jsonl"});
  EXPECT_EQ(word.code, 2);
  EXPECT_TRUE(word.err.starts_with("prospect: 'rows.jsonl' is not an option of prospect score\n"))
      << word.err;
}

TEST(Train, RefusesRowsWithAnUnknownLabel) {
  const TemporaryFolder folder;
  const std::string rows =
      folder.write("rows.jsonl", R"({"prompt": "a", "completion": " b", "label": true})"
                                 "\n"
                                 R"({"prompt": "a", "completion": " b", "label": "maybe"})");
  expect_refusal(prospect(train_words(kLlama, rows, folder / "run")), 65,
                 "rows.jsonl:2 label:", folder / "run");
}

TEST(Train, RefusesRowsWithoutAField) {
  const TemporaryFolder folder;
  const std::string rows = folder.write("rows.jsonl", R"({"prompt": "a", "label": true})");
  expect_refusal(prospect(train_words(kLlama, rows, folder / "run")), 65,
                 "rows.jsonl:1 completion:", folder / "run");
}

TEST(Train, RefusesAnEmptyCompletion) {
  const TemporaryFolder folder;
  const std::string rows = folder.write("rows.jsonl", R"({"prompt": "a", "completion": "", "label": 1})");
  expect_refusal(prospect(train_words(kLlama, rows, folder / "run")), 65,
                 "rows.jsonl:1 completion:", folder / "run");
}

TEST(Train, RefusesTruncatedWeights) {
  const TemporaryFolder folder;
  const std::string model = copy_of_llama(folder);
  fs::resize_file(model + "/model.safetensors", fs::file_size(model + "/model.safetensors") - 100);
  expect_refusal(prospect(train_words(model, kRows, folder / "run")), 65, "model.safetensors",
                 folder / "run");
}

TEST(Train, RefusesAConfigThatContradictsTheWeights) {
  const TemporaryFolder folder;
  const std::string model = copy_of_llama(folder);
  std::string config = read_file(model + "/config.json");
  config.replace(config.find("\"intermediate_size\": 176"), 24, "\"intermediate_size\": 172");
  folder.write("model/config.json", config);
  expect_refusal(prospect(train_words(model, kRows, folder / "run")), 65, "mlp", folder / "run");
}

TEST(Train, RefusesAnUnknownArchitecture) {
  const TemporaryFolder folder;
  const std::string model = copy_of_llama(folder);
  std::string config = read_file(model + "/config.json");
  config.replace(config.find("\"llama\""), 7, "\"mamba\"");
  folder.write("model/config.json", config);
  expect_refusal(prospect(train_words(model, kRows, folder / "run")), 65, "mamba", folder / "run");
}

TEST(Train, RefusesAModelWhoseChatTemplateIsALinkOutOfItsFolder) {
  const TemporaryFolder folder;
  const std::string model = copy_of_llama(folder);
  fs::create_symlink(folder.write("secret", "mine"), model + "/chat_template.jinja");
  expect_refusal(prospect(train_words(model, kRows, folder / "run")), 65,
                 "chat_template.jinja: is a link that leads out of this folder", folder / "run");
}

TEST(Train, RefusesATruncatedGguf) {
  const TemporaryFolder folder;
  const std::string model = folder.write("model.gguf", std::string("GGUF\3\0\0\0\5\0\0\0", 12));
  expect_refusal(prospect(train_words(model, kRows, folder / "run")), 65, "model.gguf", folder / "run");
}

TEST(Train, EndsWithTheReasonOfACallThatFailed) {
  const TemporaryFolder folder;
  std::vector<std::string> words = train_words(kLlama, kRows, folder / "run");
  words.insert(words.end(), {"--reference-cache", "none", "--fault", "write:ENOSPC:1"});
  const CommandResult result = prospect(words);
  EXPECT_EQ(result.code, 74);
  EXPECT_NE(result.err.find("config.toml: cannot write: No space left on device"), std::string::npos)
      << result.err;
  EXPECT_TRUE(fs::is_empty(folder / "run"));
  words.back() = "write:no idea:1";
  EXPECT_EQ(prospect(words).code, 2);
  EXPECT_EQ(prospect({"train", "--help"}).out.find("--fault"), std::string::npos);
  EXPECT_EQ(prospect({"--help"}).out.find("--fault"), std::string::npos);
}

TEST(Train, RefusesAnOutputThatCannotBeWritten) {
  const TemporaryFolder folder;
  folder.write("file", "");
  expect_refusal(prospect(train_words(kLlama, kRows, folder / "file/run")), 74, "file/run",
                 folder / "file/run");
}

TEST(Train, RefusesANameThatNoFileCanHave) {
  const TemporaryFolder folder;
  const std::string name = folder / std::string(300, 'a');
  EXPECT_EQ(prospect(train_words(kLlama, kRows, name)).code, 74);
  EXPECT_EQ(prospect(train_words(name, kRows, folder / "run")).code, 74);
}

TEST(Train, NamesMissingInputs) {
  const TemporaryFolder folder;
  expect_refusal(prospect(train_words(kLlama, folder / "none.jsonl", folder / "run")), 66, "none.jsonl",
                 folder / "run");
  expect_refusal(prospect(train_words(folder / "none", kRows, folder / "run")), 66, "none", folder / "run");
}

TEST(Train, RefusesAFolderThatHoldsARun) {
  const TemporaryFolder folder;
  ASSERT_EQ(prospect(train_words(kLlama, kRows, folder / "run")).code, 0);
  const CommandResult again = prospect(train_words(kLlama, kRows, folder / "run"));
  EXPECT_EQ(again.code, 78);
  EXPECT_NE(again.err.find("--resume"), std::string::npos);
}

TEST(Train, SaysThatARunWithoutCheckpointCannotGoOn) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "run");
  folder.write("run/metrics.jsonl", "");
  const CommandResult result = prospect(train_words(kLlama, kRows, folder / "run"));
  EXPECT_EQ(result.code, 78);
  EXPECT_EQ(result.err.find("--resume"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("before its first checkpoint"), std::string::npos) << result.err;
}

TEST(Train, NeedsTheFolderOfTheRunToResume) {
  const CommandResult result = prospect({"train", "--resume"});
  EXPECT_EQ(result.code, 2);
  EXPECT_NE(result.err.find("--out"), std::string::npos) << result.err;
}

TEST(Train, RefusesAReferenceWithAnotherTokenizer) {
  const TemporaryFolder folder;
  auto words = train_words(kLlama, kRows, folder / "run");
  words.insert(words.end(), {"--reference", kSmollm});
  expect_refusal(prospect(words), 78, "tokenizer", folder / "run");
}

TEST(Train, FromScratchKeepsTheWeightsOfAReferenceThatIsNamed) {
  const TemporaryFolder folder;
  auto words = train_words(kLlama, kRows, folder / "run");
  words.insert(words.end(), {"--from-scratch", "--reference", kLlama, "--logging-steps", "1"});
  ASSERT_EQ(prospect(words).code, 0);
  EXPECT_EQ(read_file(folder / "run/metrics.jsonl").find("\"rewards/chosen\": 0,"), std::string::npos);
}

TEST(Train, RefusesMoreThreadsThanAnyMachineHas) {
  const TemporaryFolder folder;
  auto words = train_words(kLlama, kRows, folder / "run");
  words.back() = "100000";
  expect_refusal(prospect(words), 78, "--threads", folder / "run");
}

TEST(Train, ReportsNoRewardsOfHeldOutRowsWithoutAReference) {
  const TemporaryFolder folder;
  auto words = train_words(kLlama, kRows, folder / "run");
  words.insert(words.end(), {"--objective", "lm", "--eval-data", kRows});
  const CommandResult result = prospect(words);
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("eval at step 2: loss"), std::string::npos) << result.out;
  EXPECT_EQ(result.out.find("AUC"), std::string::npos) << result.out;
}

TEST(Train, RefusesMoreMemoryThanItsBudget) {
  const TemporaryFolder folder;
  auto words = train_words(kLlama, kRows, folder / "run");
  words.insert(words.end(), {"--memory-gib", "0.001"});
  expect_refusal(prospect(words), 78, "--memory-gib: the run needs about", folder / "run");
}

TEST(Train, WritesTheModelMetricsAndConfigOfTheRun) {
  const TemporaryFolder folder;
  const CommandResult result = prospect(train_words(kLlama, kRows, folder / "run"));
  ASSERT_EQ(result.code, 0) << result.err;
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}) {
    EXPECT_TRUE(fs::exists(folder.path() / "run/model" / name)) << name;
  }
  EXPECT_EQ(read_file(folder / "run/model/tokenizer.json"), read_file(kLlama + "/tokenizer.json"));
  const std::string metrics = read_file(folder / "run/metrics.jsonl");
  for (const char* name :
       {"\"loss\"", "\"kl\"", "\"rewards/margins\"", "\"logits/chosen\"", "\"entropy\"", "\"step\": 2"}) {
    EXPECT_NE(metrics.find(name), std::string::npos) << name;
  }
  EXPECT_NE(read_file(folder / "run/config.toml").find("max_steps = 2"), std::string::npos);
}

TEST(CommandLine, ExplainsItself) {
  const CommandResult help = prospect({"train", "--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_NE(help.out.find("--undesirable-weight"), std::string::npos);
  const CommandResult wrong = prospect({"train", "--lernrate", "1"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(wrong.err.find("--lernrate"), std::string::npos);
}

TEST(Train, BalancesTheLabelsAndRecordsTheWeights) {
  const TemporaryFolder folder;
  std::string rows;
  for (int i = 0; i < 5; ++i) {
    rows += fmt::format("{{\"prompt\": \"a\", \"completion\": \" b {}\", \"label\": {}}}\n", i, i < 4);
  }
  const std::string data = folder.write("rows.jsonl", rows);
  const CommandResult plain = prospect(train_words(kLlama, data, folder / "plain"));
  EXPECT_EQ(plain.code, 0) << plain.err;
  EXPECT_NE(plain.err.find("4 desirable rows of weight 1 against 1 undesirable"), std::string::npos);
  auto words = train_words(kLlama, data, folder / "run");
  words.insert(words.end(), {"--balance", "auto"});
  const CommandResult balanced = prospect(words);
  ASSERT_EQ(balanced.code, 0) << balanced.err;
  EXPECT_EQ(balanced.err.find("warning"), std::string::npos) << balanced.err;
  EXPECT_NE(read_file(folder / "run/config.toml").find("undesirable_weight = 4.0\n"), std::string::npos);
  words.insert(words.end(), {"--desirable-weight", "2"});
  expect_refusal(prospect(words), 78, "--balance:", folder / "other");
}

TEST(CommandLine, ReadsTheJsonOfATrlConfig) {
  const TemporaryFolder folder;
  const std::string config =
      folder.write("kto.json", R"({"beta": 0.3, "report_to": "none", "loss_type": "apo_zero_unpaired"})");
  auto words = train_words(kLlama, kRows, folder / "run");
  words.insert(words.end(), {"--config", config, "--compat", "trl"});
  const CommandResult result = prospect(words);
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("kto.json: concern Python only, not used: report_to\n"), std::string::npos)
      << result.out;
  EXPECT_NE(read_file(folder / "run/config.toml").find("objective = \"apo-zero-unpaired\"\n"),
            std::string::npos);
  words.insert(words.end(), {"--objective", "kto-edifice"});
  expect_refusal(prospect(words), 78, "--compat:", folder / "other");
}

TEST(CommandLine, WinsOverTheConfigFile) {
  const TemporaryFolder folder;
  const std::string config = folder.write("run.toml", "beta = 0.3\nseed = 5\n");
  auto words = train_words(kLlama, kRows, folder / "run");
  words.insert(words.end(), {"--config", config, "--seed", "6"});
  ASSERT_EQ(prospect(words).code, 0);
  const std::string resolved = read_file(folder / "run/config.toml");
  EXPECT_NE(resolved.find("beta = 0.3\n"), std::string::npos);
  EXPECT_NE(resolved.find("seed = 6\n"), std::string::npos);
}

TEST(Score, WritesALineARowInOrder) {
  const TemporaryFolder folder;
  ASSERT_EQ(prospect({"score", "--model", kLlama, "--data", kRows, "--out", folder / "scores", "--reference",
                      kLlama})
                .code,
            0);
  const std::string scores = read_file(folder / "scores"), rows = read_file(kRows);
  EXPECT_EQ(std::count(scores.begin(), scores.end(), '\n'), std::count(rows.begin(), rows.end(), '\n'));
  EXPECT_NE(scores.find("\"reward\": 0"), std::string::npos);  // the model against itself
}

TEST(Score, ReportsAnAucOnlyWhereBothLabelsAre) {
  const TemporaryFolder folder;
  const std::string rows = folder.write("rows.jsonl", R"({"prompt": "a", "completion": " b"})");
  const CommandResult result = prospect(
      {"score", "--model", kLlama, "--data", rows, "--out", folder / "scores", "--reference", kLlama});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out.find("AUC"), std::string::npos) << result.out;
}

TEST(Score, RefusesOptionsOutOfRangeAndAReferenceWithAnotherTokenizer) {
  const TemporaryFolder folder;
  const std::string out = folder / "scores";
  const std::vector<std::string> words{"score", "--model", kLlama, "--data", kRows, "--out", out};
  const auto with = [&](const std::string& option, const std::string& value) {
    auto longer = words;
    longer.insert(longer.end(), {option, value});
    return prospect(longer);
  };
  for (const char* option : {"--micro-batch-tokens", "--max-length", "--threads", "--beta"}) {
    expect_refusal(with(option, "-1"), 78, option, out);
  }
  expect_refusal(with("--micro-batch-tokens", "0"), 78, "--micro-batch-tokens", out);
  expect_refusal(with("--reference", kSmollm), 78, "tokenizer", out);
}

TEST(Score, DoesNotOverwriteItsRows) {
  const TemporaryFolder folder;
  const std::string text = read_file(kRows), rows = folder.write("rows.jsonl", text);
  EXPECT_EQ(prospect({"score", "--model", kLlama, "--data", rows, "--out", rows}).code, 78);
  EXPECT_EQ(prospect({"generate", "--model", kLlama, "--data", rows, "--out", rows}).code, 78);
  EXPECT_EQ(read_file(rows), text);
}

TEST(Score, WritesNoNumberThatIsNotFinite) {
  const TemporaryFolder folder;
  const std::string model = copy_of_llama(folder);
  std::string weights = read_file(model + "/model.safetensors");
  weights.replace(weights.size() - 4, 4, std::string("\0\0\xC0\x7F", 4));  // a NaN in single precision
  folder.write("model/model.safetensors", weights);
  expect_refusal(prospect({"score", "--model", model, "--data", kRows, "--out", folder / "scores"}), 79,
                 "rows.jsonl:1", folder / "scores");
}

TEST(Convert, WritesAFolderThatLoadsAgain) {
  const TemporaryFolder folder;
  ASSERT_EQ(prospect({"convert", "--model", kLlama, "--out", folder / "copy"}).code, 0);
  EXPECT_EQ(read_file(folder / "copy/model.safetensors").size(),
            read_file(kLlama + "/model.safetensors").size());
  expect_refusal(prospect({"convert", "--model", kLlama, "--out", folder / "copy"}), 74, "exists",
                 folder / "copy.partial");
}

TEST(Inspect, SuggestsWeightsThatBalanceTheLabels) {
  const TemporaryFolder folder;
  std::string rows;
  for (int i = 0; i < 4; ++i) {
    rows +=
        R"({"prompt": "a", "completion": " b", "label": )" + std::string(i < 3 ? "true" : "false") + "}\n";
  }
  const CommandResult result =
      prospect({"inspect", "--model", kLlama, "--data", folder.write("rows.jsonl", rows)});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("--desirable-weight 1.00 --undesirable-weight 3.00"), std::string::npos)
      << result.out;
  EXPECT_NE(result.out.find("AdamW moments"), std::string::npos);
}

TEST(Generate, WritesTheSameTextForTheSameSeed) {
  const TemporaryFolder folder;
  const std::string prompts =
      folder.write("prompts.jsonl", "{\"prompt\": \"The coffee\"}\n{\"prompt\": \"A bread\"}\n");
  for (const char* out : {"a", "b"}) {
    ASSERT_EQ(prospect({"generate", "--model", kLlama, "--data", prompts, "--out", folder / out,
                        "--max-new-tokens", "8"})
                  .code,
              0);
  }
  EXPECT_EQ(read_file(folder / "a"), read_file(folder / "b"));
  EXPECT_EQ(prospect({"generate", "--model", kLlama}).code, 2);
}

TEST(Generate, NamesTheLineOfAPromptThatCannotBeContinued) {
  const TemporaryFolder folder;
  std::string words;
  for (int i = 0; i < 600; ++i) words += " ok";  // the model has 512 positions
  const std::string prompts =
      folder.write("prompts.jsonl", "{\"prompt\": \"ok\"}\n\n{\"prompt\": \"" + words + "\"}\n");
  expect_refusal(prospect({"generate", "--model", kLlama, "--data", prompts, "--out", folder / "texts",
                           "--batch-size", "1", "--max-new-tokens", "2"}),
                 65, "prompts.jsonl:3 prompt:", folder / "texts");
  expect_refusal(prospect({"generate", "--model", kLlama, "--prompt", "ok", "--out", folder / "texts",
                           "--max-new-tokens", "9223372036854775807"}),
                 65, "--prompt:", folder / "texts");
}

TEST(Generate, RefusesSamplingOptionsThatAreNoNumbers) {
  for (const char* option : {"--temperature", "--top-p"}) {
    const CommandResult result = prospect({"generate", "--model", kLlama, "--prompt", "ok", option, "nan"});
    EXPECT_EQ(result.code, 78) << option;
  }
}

}  // namespace
}  // namespace prospect::test
