#include "train/reference.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "kernels/common/parallel.h"
#include "kernels/common/threads.h"
#include "model/initialise.h"
#include "tests/support/command.h"
#include "tests/support/random.h"
#include "train/memory_plan.h"
#include "train/scoring.h"

namespace prospect::test {
namespace {

namespace fs = std::filesystem;

const std::string kLlama = PROSPECT_SOURCE_DIR "/tests/golden/parity/llama";
const std::string kRows = kLlama + "/rows.jsonl";

using Words = std::vector<std::string>;

/// A short run with its reference log-probabilities in `cache`; `more` options win.
CommandResult train(const std::string& out, const std::string& cache, const Words& more = {}) {
  Words words{
      "train", "--model",           kLlama, "--data",          kRows,  "--out",
      out,     "--threads",         "2",    "--learning-rate", "1e-3", "--per-device-train-batch-size",
      "4",     "--max-steps",       "3",    "--save-steps",    "0",    "--logging-steps",
      "1",     "--reference-cache", cache};
  for (size_t i = 0; i < more.size(); i += 2) {
    const auto at = std::find(words.begin(), words.end(), more[i]);
    if (at == words.end()) {
      words.insert(words.end(), {more[i], more[i + 1]});
    } else {
      at[1] = more[i + 1];
    }
  }
  return prospect(words);
}

struct Count {
  int found = -1, computed = -1;
  bool operator==(const Count&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Count& count) {
  return out << count.found << " from the cache, " << count.computed << " computed";
}

/// What the run says of its reference.
Count count_of(const CommandResult& result) {
  Count count;
  const size_t at = result.out.find("reference: ");
  if (result.code != 0 || at == std::string::npos) ADD_FAILURE() << result.code << result.err << result.out;
  std::sscanf(result.out.c_str() + at, "reference: %d sequences from the cache, %d computed", &count.found,
              &count.computed);
  return count;
}

std::string weights(const std::string& run) {
  const std::string bytes = read_file(run + "/model/model.safetensors");
  EXPECT_FALSE(bytes.empty());
  return bytes;
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder)) paths.push_back(entry.path());
  return paths;
}

class ReferenceOf : public testing::TestWithParam<Words> {};

TEST_P(ReferenceOf, SecondRunReadsTheCacheAndEndsInTheSameBytes) {
  const TemporaryFolder folder;
  Words options = GetParam();
  options.insert(options.end(), {"--eval-data", kRows});
  const Count first = count_of(train(folder / "a", folder / "cache", options));
  EXPECT_EQ(first.found, 0);
  EXPECT_GT(first.computed, 8);  // the rows, and their mismatched pairs where there are any
  const CommandResult again = train(folder / "b", folder / "cache", options);
  EXPECT_EQ(count_of(again), (Count{first.computed, 0}));
  EXPECT_NE(again.out.find("not loaded"), std::string::npos);
  EXPECT_EQ(weights(folder / "a"), weights(folder / "b"));
}

INSTANTIATE_TEST_SUITE_P(Runs, ReferenceOf,
                         testing::Values(Words{}, Words{"--compat", "trl"}, Words{"--dtype", "bf16"},
                                         Words{"--dtype", "f64"}, Words{"--max-length", "20"}));

TEST(Reference, ObjectivesWithoutPairsAskForTheRowsAlone) {
  const TemporaryFolder folder;
  for (const char* objective : {"kto-zero", "kto-edifice"}) {
    const std::string cache = folder / ("cache-" + std::string(objective));
    EXPECT_EQ(count_of(train(folder / (std::string(objective) + "-a"), cache, {"--objective", objective})),
              (Count{0, 8}));
    EXPECT_EQ(count_of(train(folder / (std::string(objective) + "-b"), cache, {"--objective", objective})),
              (Count{8, 0}));
  }
}

TEST(Reference, IsNotThereForTheNextTokenLoss) {
  const TemporaryFolder folder;
  const CommandResult result = train(folder / "run", folder / "cache", {"--objective", "lm"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out.find("reference"), std::string::npos) << result.out;
  EXPECT_FALSE(fs::exists(folder / "cache"));
}

TEST(Reference, CacheDoesNotChangeTheResult) {
  const TemporaryFolder folder;
  const Count whole = count_of(train(folder / "none", "none", {"--seed", "1"}));
  EXPECT_FALSE(fs::exists("none"));
  count_of(train(folder / "other", folder / "cache", {"--seed", "2", "--micro-batch-tokens", "64"}));
  // The rows and some of the pairs are there from another run, which saw them in other batches.
  const Count part = count_of(train(folder / "part", folder / "cache", {"--seed", "1"}));
  EXPECT_GE(part.found, 8);
  EXPECT_GT(part.computed, 0);
  EXPECT_EQ(part.found + part.computed, whole.computed);
  EXPECT_EQ(weights(folder / "none"), weights(folder / "part"));
}

TEST(Reference, TrainingUsesWhatTheCacheHolds) {
  // Entries with other values under the right names: only a run that computes nothing ends elsewhere.
  const TemporaryFolder folder;
  train(folder / "a", folder / "cache");
  const fs::path path = files_in(folder / "cache").at(0);
  const std::string hex = path.filename().string().substr(std::string("reference-").size(), 32);
  const Hash128 identity{std::stoull(hex.substr(0, 16), nullptr, 16),
                         std::stoull(hex.substr(16), nullptr, 16)};
  const LogpFile file(path, identity, sizeof(float));
  std::vector<std::vector<float>> moved;
  std::vector<LogpEntry> entries;
  for (size_t i = 0; i < file.size(); ++i) {
    moved.emplace_back(file.values(i).size() / sizeof(float));
    std::memcpy(moved[i].data(), file.values(i).data(), file.values(i).size());
    for (float& value : moved[i]) value += 0.25f;
    entries.push_back({file.key(i), std::as_bytes(std::span(moved[i]))});
  }
  write_logp_file({}, path, identity, sizeof(float), entries);
  EXPECT_EQ(count_of(train(folder / "b", folder / "cache")).computed, 0);
  EXPECT_NE(weights(folder / "a"), weights(folder / "b"));
  EXPECT_NE(read_file(folder / "b/metrics.jsonl").find("\"rewards/chosen\": -"), std::string::npos);
}

TEST(Reference, IsTheModelAtTheStartUnlessAnotherIsNamed) {
  const TemporaryFolder folder;
  fs::copy(kLlama, folder / "copy", fs::copy_options::recursive);
  const Count first = count_of(train(folder / "a", folder / "cache"));
  EXPECT_EQ(count_of(train(folder / "b", folder / "cache", {"--reference", folder / "copy"})),
            (Count{first.computed, 0}));
  EXPECT_EQ(weights(folder / "a"), weights(folder / "b"));
}

TEST(Reference, EntriesBelongToTheWeightsOfTheReference) {
  const TemporaryFolder folder;
  fs::copy(kLlama, folder / "copy", fs::copy_options::recursive);
  const Words options{"--reference", folder / "copy"};
  const Count first = count_of(train(folder / "a", folder / "cache", options));
  const std::string path = folder / "copy/model.safetensors", config = folder / "copy/config.json";
  const std::string whole = read_file(path), text = read_file(config);
  std::string changed = whole;
  changed[changed.size() - 100] ^= 1;
  folder.write("copy/model.safetensors", changed);
  EXPECT_EQ(count_of(train(folder / "b", folder / "cache", options)), (Count{0, first.computed}));
  folder.write("copy/model.safetensors", whole);
  std::string other = text;
  other.replace(other.find("1e-06"), 5, "1e-05");
  folder.write("copy/config.json", other);
  EXPECT_EQ(count_of(train(folder / "c", folder / "cache", options)), (Count{0, first.computed}));
  folder.write("copy/config.json", text);
  EXPECT_EQ(count_of(train(folder / "d", folder / "cache", options)), (Count{first.computed, 0}));
}

TEST(Reference, EntriesBelongToTheDtype) {
  const TemporaryFolder folder;
  const Count first = count_of(train(folder / "a", folder / "cache"));
  EXPECT_EQ(count_of(train(folder / "b", folder / "cache", {"--dtype", "bf16"})), (Count{0, first.computed}));
}

TEST(Reference, EntriesOfADrawnModelBelongToItsSeed) {
  const TemporaryFolder folder;
  const auto run = [&](const std::string& out, const char* seed) {
    CommandResult result;
    Words words{"train",         "--model",    kLlama,           "--data",      kRows,
                "--out",         folder / out, "--from-scratch", "--max-steps", "1",
                "--save-steps",  "0",          "--seed",         seed,          "--reference-cache",
                folder / "cache"};
    return count_of(prospect(words));
  };
  const Count first = run("a", "1");
  EXPECT_EQ(first.found, 0);
  EXPECT_EQ(run("b", "2").found, 0);
  EXPECT_EQ(run("c", "1"), (Count{first.computed, 0}));
}

TEST(Reference, EntriesBelongToTheTokensAndToWhereTheCompletionBegins) {
  const TemporaryFolder folder;
  const auto rows = [](const std::string& prompt, const std::string& completion) {
    return R"({"prompt": ")" + prompt + R"(", "completion": ")" + completion + "\", \"label\": true}\n";
  };
  const auto run = [&](const std::string& out, const std::string& text) {
    const std::string data = folder.write("rows.jsonl", text);
    return count_of(train(folder / out, folder / "cache", {"--data", data, "--max-steps", "1"}));
  };
  EXPECT_EQ(run("a", rows("the rye bread", " was dust .")), (Count{0, 1}));
  EXPECT_EQ(run("b", rows("the rye", " bread was dust .")), (Count{0, 1}));
  EXPECT_EQ(run("c", rows("the rye bread", " was dust !")), (Count{0, 1}));
  EXPECT_EQ(run("d", rows("the rye bread", " was dust .") + rows("the rye", " bread was dust .")).found, 2);
}

TEST(Reference, ComputesDamagedEntriesAgain) {
  const TemporaryFolder folder;
  const Count first = count_of(train(folder / "a", folder / "cache"));
  const fs::path path = files_in(folder / "cache").at(0);
  std::string content = read_file(path);
  content.back() ^= 1;  // one entry's value
  std::ofstream(path, std::ios::binary) << content;
  const CommandResult one = train(folder / "b", folder / "cache");
  EXPECT_EQ(count_of(one), (Count{first.computed - 1, 1}));
  EXPECT_NE(one.out.find("(1 damaged in the cache)"), std::string::npos) << one.out;
  EXPECT_EQ(count_of(train(folder / "c", folder / "cache")).computed, 0);
  content[40] ^= 1;  // the number of entries
  std::ofstream(path, std::ios::binary) << content;
  const CommandResult all = train(folder / "d", folder / "cache");
  EXPECT_EQ(count_of(all), (Count{1, first.computed - 1}));
  EXPECT_NE(all.err.find("computed again"), std::string::npos) << all.err;
  for (const char* run : {"b", "c", "d"}) EXPECT_EQ(weights(folder / "a"), weights(folder / run)) << run;
}

TEST(Reference, RunGoesOnWithoutACacheThatCannotBeWritten) {
  const TemporaryFolder folder;
  folder.write("file", "");
  const CommandResult result = train(folder / "a", folder / "file/cache");
  EXPECT_GT(count_of(result).computed, 0);
  EXPECT_NE(result.err.find("file/cache"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("--reference-cache"), std::string::npos) << result.err;
  train(folder / "b", "none");
  EXPECT_EQ(weights(folder / "a"), weights(folder / "b"));
}

TEST(Reference, RunGoesOnThroughAnyFailureOfTheCachesFiles) {
  const TemporaryFolder folder;
  const Count whole = count_of(train(folder / "whole", folder / "whole-cache"));
  // The first calls of some kinds make and try out the run's own folder.
  for (const std::string fault :
       {"make_folder:EACCES:2", "open:EIO:3", "open:EROFS:4", "open:EMFILE:5", "open:EIO:6", "open:EIO:7",
        "write:ENOSPC:1", "write:ENOSPC:2", "write:short:2", "sync:EIO:2", "sync:EIO:3", "sync:EIO:4",
        "close:EIO:5", "rename:EROFS:1"}) {
    SCOPED_TRACE(fault);
    const std::string run = folder / ("run-" + fault), cache = folder / ("cache-" + fault);
    EXPECT_EQ(count_of(train(run, cache, {"--fault", fault})), whole);
    EXPECT_EQ(weights(run), weights(folder / "whole"));
    const bool kept = fs::exists(cache) && !files_in(cache).empty();
    EXPECT_EQ(count_of(train(run + "-again", cache)).found, kept ? whole.computed : 0);
    EXPECT_EQ(weights(run + "-again"), weights(folder / "whole"));
  }
}

TEST(Reference, ResumedRunAsksOnlyForTheStepsThatAreLeft) {
  const TemporaryFolder folder;
  const Words options{"--save-steps", "2", "--max-steps", "6"};
  const Count whole = count_of(train(folder / "a", folder / "cache", options));
  fs::copy(folder / "a", folder / "b", fs::copy_options::recursive);
  fs::remove_all(folder / "b/model");
  fs::remove_all(folder / "b/checkpoints/step-00000006");
  fs::remove_all(folder / "cache");
  const Count rest = count_of(prospect({"train", "--out", folder / "b", "--resume"}));
  EXPECT_EQ(rest.found, 0);
  EXPECT_LT(rest.computed, whole.computed);
  EXPECT_EQ(weights(folder / "a"), weights(folder / "b"));
}

TEST(Reference, NamesTheRowWhoseLogProbabilityIsNotFinite) {
  const TemporaryFolder folder;
  fs::copy(kLlama, folder / "copy", fs::copy_options::recursive);
  std::string bytes = read_file(kLlama + "/model.safetensors");
  for (size_t i = 1; i <= 64; ++i) bytes[bytes.size() - i] = '\xff';
  folder.write("copy/model.safetensors", bytes);
  const CommandResult result = train(folder / "a", folder / "cache", {"--reference", folder / "copy"});
  EXPECT_EQ(result.code, 79) << result.err;
  EXPECT_NE(result.err.find("rows.jsonl:"), std::string::npos) << result.err;
  EXPECT_TRUE(files_in(folder / "cache").empty());
}

/// A model of which products are large enough for threads to share.
Model wide_model(DType dtype) {
  return random_model({.vocab_size = 700,
                       .hidden_size = 192,
                       .layers = 2,
                       .heads = 6,
                       .kv_heads = 6,
                       .head_dim = 32,
                       .intermediate_size = 512,
                       .max_positions = 128},
                      1, {.dtype = dtype, .trainable = true}, Device::cpu());
}

class BatchedScores : public testing::TestWithParam<DType> {};

TEST_P(BatchedScores, KeepTheirBitsWhateverTheBatchAndTheThreads) {
  const Model model = wide_model(GetParam());
  const Transformer transformer(model);
  // From a single token to long ones, so that a batch may have any number of rows.
  std::vector<std::vector<int32_t>> ids;
  for (int s = 0; s < 12; ++s) ids.emplace_back(static_cast<size_t>(3 + 9 * s), 5 + s);
  std::vector<Sequence> sequences;
  for (const auto& list : ids) {
    const std::span<const int32_t> all(list);
    sequences.push_back({all.first(1 + all.size() / 3), all.subspan(1 + all.size() / 3), 0});
  }
  const int before = omp_get_max_threads();
  std::vector<std::vector<Tensor>> runs;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    for (const int64_t budget : {1, 150, 1 << 20}) {
      runs.push_back(score_sequences(transformer, sequences, budget).log_probabilities);
    }
  }
  omp_set_num_threads(before);
  for (const auto& run : runs) {
    for (size_t i = 0; i < run.size(); ++i) {
      EXPECT_EQ(std::memcmp(run[i].bytes(), runs[0][i].bytes(), static_cast<size_t>(run[i].byte_count())), 0)
          << "sequence " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, BatchedScores, testing::Values(DType::F32, DType::BF16, DType::F64));

TEST(MemoryPlan, HoldsNoReferenceWhileItTrains) {
  const ModelConfig config = load_config(kLlama);
  const MemoryPlan without = plan_memory(config, {.reference = false});
  const MemoryPlan with = plan_memory(config, {.reference = true});
  EXPECT_EQ(sum_of(with.training), sum_of(without.training));
  EXPECT_EQ(without.most(), sum_of(without.training));
}

TEST(MemoryPlan, CountsAReferenceThatIsLargerThanWhatTrainingAdds) {
  const ModelConfig config = load_config(kLlama);
  ModelConfig large = config;
  large.layers *= 2000;
  const MemoryPlan plan = plan_memory(config, {.own_reference = &large});
  EXPECT_GT(plan.most(), sum_of(plan.training));
  EXPECT_GE(plan.most(), 4 * (2 * parameter_count(config) + parameter_count(large)));
}

}  // namespace
}  // namespace prospect::test
