#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "engine/one_line.h"
#include "model/config_json.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "tests/fuzz/allocations.h"
#include "tests/fuzz/harness.h"
#include "tests/fuzz/mutate.h"
#include "tests/support/temporary_folder.h"
#include "train/checkpoint.h"

// 2000 damaged copies of each of a model's and a checkpoint's small files. Each must load to what the intact
// one says, as far as the format can tell, or be refused in one line that names it, in memory that grows with
// the file only.
//   A checkpoint carries checksums: whatever differs is refused.
//   safetensors and GGUF carry none of their weights, or of what a config key says: such a copy loads, with
//   other values. It must have the same parameters, of the same shapes. A tokenizer and a config are texts
//   whose every letter may be meant: a copy that loads is held to its own word.
namespace prospect::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr uint64_t kCopies = 2000;
/// What loading takes whatever the size: names of files, a few tables.
constexpr int64_t kConstant = 1 << 14;

std::string sound_input(const std::string& name) {
  return read_file(fs::path(PROSPECT_SOURCE_DIR) / "tests/fuzz/inputs" / name);
}

/// What became of the copies.
struct Tally {
  int64_t loaded = 0, refused = 0, peak_bytes = 0;
};

/// Calls load(copy) for kCopies copies of `intact`, each of one damage. 32 bytes may be allocated a byte of
/// the copy (a tree of JSON takes that), and `constant` more.
Tally damage_each(const std::string& intact, const std::string& name, int64_t constant,
                  const std::function<void(const std::string&)>& load) {
  constexpr int64_t kFactor = 32;
  Tally tally;
  for (uint64_t seed = 0; seed < kCopies; ++seed) {
    const auto damage = static_cast<fuzz::Damage>(seed % fuzz::kDamages);
    const std::string copy = fuzz::damaged(intact, damage, seed);
    const std::string which = fmt::format("{}: {}, seed {}", name, fuzz::name_of(damage), seed);
    const fuzz::PeakAllocation peak;
    try {
      load(copy);
      ++tally.loaded;
    } catch (const Error& error) {
      ++tally.refused;
      EXPECT_TRUE(error.code() == ExitCode::BadData || error.code() == ExitCode::MissingInput) << which;
      EXPECT_NE(one_line(error.what()).find(name), std::string::npos) << which << ": " << error.what();
    }
    const int64_t bytes = peak.bytes();
    EXPECT_LE(bytes, kFactor * std::ssize(copy) + constant) << which << ", of " << copy.size() << " bytes";
    tally.peak_bytes = std::max(tally.peak_bytes, bytes);
  }
  return tally;
}

void expect_both_ends(const Tally& tally) {
  EXPECT_GT(tally.loaded, 0);
  EXPECT_GT(tally.refused, 0);
  testing::Test::RecordProperty("loaded", std::to_string(tally.loaded));
  testing::Test::RecordProperty("peak_bytes", std::to_string(tally.peak_bytes));
}

void expect_same_parameters(const Model& model, const Model& intact) {
  ASSERT_EQ(model.parameters.specs().size(), intact.parameters.specs().size());
  EXPECT_EQ(model.parameters.count(), intact.parameters.count());
  EXPECT_EQ(model.parameters.values().dtype(), intact.parameters.values().dtype());
  EXPECT_EQ(model.parameters.values().shape(), intact.parameters.values().shape());
  for (size_t i = 0; i < intact.parameters.specs().size(); ++i) {
    EXPECT_EQ(model.parameters.specs()[i].name, intact.parameters.specs()[i].name);
    EXPECT_EQ(model.parameters.specs()[i].shape, intact.parameters.specs()[i].shape);
  }
}

TEST(Corruption, OfSafetensors) {
  const fuzz::MemoryFolder folder;
  const std::string intact = sound_input("safetensors/sound-model");
  folder.write("config.json", R"({"model_type": "llama", "vocab_size": 3, "hidden_size": 8,
    "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "intermediate_size": 2,
    "max_position_embeddings": 4, "rms_norm_eps": 1e-5, "tie_word_embeddings": true})");
  folder.write("model.safetensors", intact);
  const Model expected = load_model(folder.path(), {}, Device::cpu());
  EXPECT_EQ(expected.stored_dtype, "F16");
  expect_both_ends(damage_each(intact, folder.path().filename(), kConstant, [&](const std::string& copy) {
    folder.write("model.safetensors", copy);
    expect_same_parameters(load_model(folder.path(), {}, Device::cpu()), expected);
  }));
}

TEST(Corruption, OfGguf) {
  const fuzz::MemoryFolder folder;
  const std::string intact = sound_input("gguf/sound-model");
  const std::string path = folder.path() / "x.gguf";
  folder.write("x.gguf", intact);
  const Model expected = load_model(path, {}, Device::cpu());
  expect_both_ends(damage_each(intact, "x.gguf", kConstant, [&](const std::string& copy) {
    folder.write("x.gguf", copy);
    const Model model = load_model(path, {}, Device::cpu());
    expect_same_parameters(model, expected);
    EXPECT_EQ(model.config.vocab_size, expected.config.vocab_size);
    EXPECT_EQ(model.stored_dtype, expected.stored_dtype);
  }));
}

TEST(Corruption, OfATokenizer) {
  const std::string intact = sound_input("tokenizer/sound-byte-level");
  const std::string text = "ab <s> b, \xE2\x82\xAC 12";
  const std::vector<int32_t> expected = Tokenizer::from_json(intact, "t.json").encode(text);
  // The table of ids may have 2^16 gaps of 40 bytes each.
  expect_both_ends(damage_each(intact, "t.json", 3 << 20, [&](const std::string& copy) {
    const Tokenizer tokenizer = Tokenizer::from_json(copy, "t.json");
    const std::vector<int32_t> ids = tokenizer.encode(text);
    for (const int32_t id : ids) EXPECT_TRUE(id >= 0 && id < tokenizer.size()) << id;
    EXPECT_EQ(tokenizer.encode(text), ids);
    if (Json::parse(copy) != Json::parse(intact)) return;
    EXPECT_EQ(ids, expected);
  }));
}

TEST(Corruption, OfAConfig) {
  const std::string intact = sound_input("config_json/sound-llama");
  const ModelConfig expected = config_from_json(intact, "c.json");
  expect_both_ends(damage_each(intact, "c.json", kConstant, [&](const std::string& copy) {
    const ModelConfig config = config_from_json(copy, "c.json");
    const std::string written = config_to_json(config, config.stored_dtype);
    EXPECT_EQ(config_to_json(config_from_json(written, "c.json"), config.stored_dtype), written);
    if (Json::parse(copy) != Json::parse(intact)) return;
    ModelConfig same_text = config;
    same_text.source_json = expected.source_json;
    EXPECT_TRUE(same_text == expected);
  }));
}

TEST(Corruption, OfACheckpoint) {
  const fuzz::MemoryFolder folder;
  const std::vector<double> values{1, 2, 3, 4, 5, 6};
  const Tensor tensor = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3}, Device::cpu());
  const std::vector<NamedTensor> named{{"values", tensor}, {"moments", tensor}};
  const std::string name = "step-00000007";
  save_checkpoint({}, folder.path(), 7, R"({"step": 7})", named, 1);
  const fs::path path = folder.path() / name;
  for (const char* part : {"manifest.json", "state.json", "values.bin"}) {
    const std::string intact = read_file(path / part);
    const Tally tally = damage_each(intact, name, kConstant, [&](const std::string& copy) {
      folder.write(name + "/" + part, copy);
      const Checkpoint checkpoint(path);
      EXPECT_EQ(copy, intact) << part;
      const Tensor loaded = Tensor::zeros({2, 3}, DType::F32, Device::cpu());
      checkpoint.load(std::vector<NamedTensor>{{"values", loaded}, {"moments", tensor.clone()}});
      EXPECT_EQ(to_doubles(loaded), values);
    });
    EXPECT_GT(tally.refused, static_cast<int64_t>(kCopies) / 2) << part;
    folder.write(name + "/" + part, intact);
  }
}

}  // namespace
}  // namespace prospect::test
