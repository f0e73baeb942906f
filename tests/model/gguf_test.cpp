#include "model/gguf.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "model/model.h"
#include "tests/support/errors.h"
#include "tests/support/temporary_folder.h"

namespace prospect {
namespace {

const std::filesystem::path kGolden = std::filesystem::path(PROSPECT_SOURCE_DIR) / "tests/golden";

/// Puts a file together by hand, right or wrong.
class Builder {
 public:
  template <class T>
  Builder& put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  Builder& text(const std::string& text) {
    put<uint64_t>(text.size());
    bytes_ += text;
    return *this;
  }
  Builder& raw(const std::string& bytes) {
    bytes_ += bytes;
    return *this;
  }
  Builder& header(uint64_t tensors, uint64_t values, uint32_t version = 3) {
    return raw("GGUF").put<uint32_t>(version).put(tensors).put(values);
  }
  Builder& tensor(const std::string& name, const std::vector<uint64_t>& dimensions, uint32_t type,
                  uint64_t offset) {
    text(name).put(static_cast<uint32_t>(dimensions.size()));
    for (const uint64_t size : dimensions) put(size);
    return put(type).put(offset);
  }
  Builder& pad(size_t alignment = 32) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment, '\0');
    return *this;
  }
  Builder& data(size_t count) { return raw(std::string(count, '\0')); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

testing::AssertionResult refuses(const Builder& file, const std::string& words) {
  const test::TemporaryFolder folder;
  const std::string path = folder.write("x.gguf", file.bytes());
  return test::fails(ExitCode::BadData, "x.gguf: " + words, [&] { GgufFile{path}; });
}

constexpr uint32_t kU8 = 0, kU32 = 4, kBool = 7, kString = 8, kArray = 9, kF32 = 0, kQ8 = 8;

TEST(Gguf, ReadsKeysOfEveryType) {
  const GgufFile file(kGolden / "gguf/types.gguf");
  EXPECT_EQ(file.text("general.architecture"), "llama");
  EXPECT_EQ(file.integer("test.u8"), 250);
  EXPECT_EQ(file.integer("test.i8"), -5);
  EXPECT_EQ(file.integer("test.u32"), 4000000000);
  EXPECT_EQ(file.integer("test.i64"), -(int64_t{1} << 40));
  EXPECT_EQ(file.integer("test.u64"), int64_t{1} << 40);
  EXPECT_EQ(file.number("test.f32"), static_cast<double>(0.1f));
  EXPECT_EQ(file.number("test.f64"), 0.1);
  EXPECT_EQ(file.flag("test.bool"), true);
  EXPECT_EQ(file.text("test.text"), "na\u00efve \U0001f600");
  EXPECT_EQ(file.texts("test.texts"), (std::vector<std::string_view>{"a", "", "bc"}));
  EXPECT_EQ(file.integers("test.integers"), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(file.numbers("test.floats"), (std::vector<double>{0.5, -1.5}));
  EXPECT_EQ(file.integer("absent"), std::nullopt);
  EXPECT_TRUE(test::fails(ExitCode::BadData, "test.text: must be of type integer",
                          [&] { file.integer("test.text"); }));
  EXPECT_TRUE(test::fails(ExitCode::BadData, "test.u8: must be a list of type integer",
                          [&] { file.integers("test.u8"); }));
}

TEST(Gguf, DequantisesToTheBitsOfGgml) {
  const GgufFile file(kGolden / "gguf/types.gguf");
  const auto expected = nlohmann::json::parse(test::read_file(kGolden / "gguf/types.json"));
  ASSERT_EQ(expected.size(), 6u);
  for (const auto& [name, bits] : expected.items()) {
    const StoredTensor* tensor = file.find(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(tensor->shape, (Shape{3, 64}));
    std::vector<float> values(192);
    decode<float>(*tensor, 0, values);
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), bits[i].get<uint32_t>()) << name << " " << i;
    }
  }
}

TEST(Gguf, LoadsALlamaWithItsRotaryRowsInOrder) {
  const Model model = load_model(kGolden / "gguf/llama.gguf", {}, Device::cpu());
  const Model original = load_model(kGolden / "parity/smollm", {}, Device::cpu());
  EXPECT_EQ(model.stored_dtype, "F16");
  EXPECT_EQ(model.config.vocab_size, original.config.vocab_size);
  EXPECT_EQ(model.config.kv_heads, original.config.kv_heads);
  EXPECT_EQ(model.config.norm_epsilon, original.config.norm_epsilon);
  EXPECT_EQ(model.config.rope_theta, original.config.rope_theta);
  EXPECT_EQ(model.config.eos_tokens, original.config.eos_tokens);
  EXPECT_TRUE(model.config.tied_head);
  ASSERT_EQ(model.parameters.specs().size(), original.parameters.specs().size());
  for (size_t i = 0; i < model.parameters.specs().size(); ++i) {
    const std::vector<double> values = to_doubles(model.parameters[i].value());
    const std::vector<double> expected = to_doubles(original.parameters[i].value());
    for (size_t j = 0; j < values.size(); ++j) {
      // Matrices went through binary16: half a unit in the last of 11 bits, or of the subnormals.
      ASSERT_NEAR(values[j], expected[j], std::max(std::fabs(expected[j]) * 0x1p-11, 0x1p-25))
          << model.parameters.specs()[i].name;
    }
  }
}

TEST(Gguf, LoadsTheFamiliesWithTheWeightsOfTheirFolders) {
  for (const std::string family : {"qwen2", "qwen3", "mistral"}) {
    const Model model = load_model(kGolden / "gguf" / (family + ".gguf"), {}, Device::cpu());
    const Model original = load_model(kGolden / "families" / family, {}, Device::cpu());
    EXPECT_EQ(model.config.model_type, family);
    EXPECT_EQ(model.config.head_dim, original.config.head_dim);
    EXPECT_EQ(model.config.qkv_bias, original.config.qkv_bias);
    EXPECT_EQ(model.config.output_bias, original.config.output_bias);
    EXPECT_EQ(model.config.qk_norm, original.config.qk_norm);
    EXPECT_EQ(model.config.window, family == "mistral" ? 4 : 0);
    ASSERT_EQ(model.parameters.specs().size(), original.parameters.specs().size());
    for (size_t i = 0; i < model.parameters.specs().size(); ++i) {
      EXPECT_EQ(to_doubles(model.parameters[i].value()), to_doubles(original.parameters[i].value()))
          << family << " " << model.parameters.specs()[i].name;
    }
  }
}

TEST(Gguf, RecoversLlama3RopeFromItsDivisorsOrRefuses) {
  std::string bytes = test::read_file(kGolden / "gguf/mistral.gguf");
  EXPECT_EQ(load_config(kGolden / "gguf/mistral.gguf").llama3_rope, Llama3Rope{.factor = 32});
  // The divisors begin with those of the two shorter wavelengths, which stay.
  const size_t divisors = bytes.find(Builder().put(1.0f).put(1.0f).bytes());
  ASSERT_NE(divisors, bytes.npos);
  bytes.replace(divisors + 4, 4, Builder().put(1.01f).bytes());
  const test::TemporaryFolder folder;
  const std::string path = folder.write("x.gguf", bytes);
  EXPECT_TRUE(
      test::fails(ExitCode::BadData, "rope_freqs.weight: divisor 1 is 1.0", [&] { load_config(path); }));
}

TEST(Gguf, GivesTheWeightsOfSmolLm2ThatTransformersDequantises) {
  const std::filesystem::path folder = PROSPECT_SMOLLM2_DIR;
  if (folder.empty()) GTEST_SKIP() << "PROSPECT_SMOLLM2_DIR names no folder";
  const Model model = load_model(folder / "SmolLM2-135M-Instruct.Q4_1.gguf", {}, Device::cpu());
  const Model expected = load_model(folder, {}, Device::cpu());
  EXPECT_EQ(model.stored_dtype, "F32");
  EXPECT_EQ(model.parameters.count(), 134515008);
  EXPECT_EQ(model.config.rope_theta, expected.config.rope_theta);
  EXPECT_EQ(model.config.norm_epsilon, expected.config.norm_epsilon);
  const Tensor ours = model.parameters.values(), theirs = expected.parameters.values();
  ASSERT_EQ(ours.shape(), theirs.shape());
  EXPECT_EQ(std::memcmp(ours.bytes(), theirs.bytes(), static_cast<size_t>(ours.byte_count())), 0);
}

TEST(Gguf, ReadsAnEmptyFileAndUnpaddedEnds) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(GgufFile(folder.write("a.gguf", Builder().header(0, 0).bytes())).tensors().size(), 0u);
  for (const size_t end : {4, 32}) {
    const Builder file = Builder().header(1, 0, 2).tensor("a", {1}, kF32, 0).pad().data(end);
    EXPECT_EQ(GgufFile(folder.write("b.gguf", file.bytes())).tensors()[0].bytes.size(), 4u);
  }
}

TEST(Gguf, RefusesHeadersThatAreNotSound) {
  EXPECT_TRUE(refuses(Builder().raw("GG"), "header: the file ends inside it"));
  EXPECT_TRUE(refuses(Builder().raw("GGML").data(20), "header: not a GGUF file"));
  EXPECT_TRUE(refuses(Builder().header(0, 0, 1), "header: version 1 is not supported"));
  EXPECT_TRUE(refuses(Builder().header(0, 0, 3u << 24), "header: big-endian"));
  EXPECT_TRUE(refuses(Builder().header(0, uint64_t{1} << 60), "header: 1152921504606846976 keys"));
  EXPECT_TRUE(refuses(Builder().header(~uint64_t{0}, 0), "header: 0 keys and 18446744073709551615 tensors"));
  EXPECT_TRUE(refuses(Builder().header(0, 0).data(1), "end: 1 bytes after the last tensor"));
}

TEST(Gguf, RefusesKeysThatAreNotSound) {
  const auto one = [] { return Builder().header(0, 1); };
  EXPECT_TRUE(refuses(one().text("").data(20), "key: is empty"));
  EXPECT_TRUE(refuses(one().text("a").put(kU32).data(2), "a: the file ends inside it"));
  EXPECT_TRUE(refuses(one().text("a").put<uint32_t>(13).data(8), "a: unknown type 13"));
  EXPECT_TRUE(refuses(one().text("a").put(kBool).put<uint8_t>(2), "a: a bool must be 0 or 1"));
  EXPECT_TRUE(refuses(one().text("a").put(kString).put(~uint64_t{0}), "a: a text is longer than 2^30"));
  EXPECT_TRUE(
      refuses(one().text("a").put(kArray).put(kArray).put<uint64_t>(1).data(20), "a: lists of lists"));
  EXPECT_TRUE(refuses(one().text("a").put(kArray).put(kU8).put<uint64_t>(1 << 20).data(20),
                      "a: the file ends inside it"));
  EXPECT_TRUE(refuses(one().text("a").put(kArray).put(kU32).put(~uint64_t{0}).data(20), "a: has more than"));
  EXPECT_TRUE(refuses(Builder().header(0, 2).text("a").put(kU32).data(4).text("a").put(kU32).data(4),
                      "a: stands twice"));
  EXPECT_TRUE(refuses(one().raw(std::string(7, '\xff')).data(9), "key: a text is longer"));
}

TEST(Gguf, RefusesTensorsThatAreNotSound) {
  const auto one = [](const std::vector<uint64_t>& dimensions, uint32_t type, uint64_t offset) {
    return Builder().header(1, 0).tensor("t", dimensions, type, offset).pad().data(64);
  };
  EXPECT_TRUE(refuses(one({1, 1, 1, 1, 1}, kF32, 0), "t: has 5 dimensions"));
  EXPECT_TRUE(refuses(one({uint64_t{1} << 32, uint64_t{1} << 32}, kF32, 0), "t: the size of its shape"));
  EXPECT_TRUE(refuses(one({uint64_t{1} << 62, 1}, kF32, 0), "t: the file ends inside it"));
  EXPECT_TRUE(refuses(one({~uint64_t{0}}, kF32, 0), "t: the size of its shape"));
  EXPECT_TRUE(refuses(one({17}, kF32, 0), "t: the file ends inside it"));
  EXPECT_TRUE(refuses(one({16}, kF32, 32), "t: lies at byte 32 of the data, must lie at 0"));
  EXPECT_TRUE(refuses(one({16}, kQ8, 0), "t: rows of 16 do not divide into blocks of 32"));
  EXPECT_TRUE(refuses(one({16}, 12, 0), "t: tensors of type Q4_K are not supported"));
  EXPECT_TRUE(refuses(one({16}, 99, 0), "t: tensors of type 99 are not supported"));
  EXPECT_TRUE(refuses(one({1}, kF32, 0), "end: 32 bytes after the last tensor"));
  EXPECT_TRUE(refuses(Builder().header(1, 0).tensor(std::string(64, 'a'), {1}, kF32, 0).pad().data(32),
                      "tensor: a name must have"));
  const auto two = [](const std::string& second, uint64_t offset) {
    return Builder().header(2, 0).tensor("a", {1}, kF32, 0).tensor(second, {1}, kF32, offset).pad().data(64);
  };
  EXPECT_TRUE(refuses(two("a", 32), "a: stands twice"));
  EXPECT_TRUE(refuses(two("b", 0), "b: lies at byte 0 of the data, must lie at 32"));
  EXPECT_TRUE(refuses(two("b", 64), "b: lies at byte 64 of the data, must lie at 32"));
  const auto aligned = [](uint32_t alignment) {
    return Builder()
        .header(1, 1)
        .text("general.alignment")
        .put(kU32)
        .put(alignment)
        .tensor("a", {1}, kF32, 0);
  };
  EXPECT_TRUE(refuses(aligned(24).pad().data(32), "general.alignment: 24 is not a power of two"));
  EXPECT_TRUE(refuses(aligned(0).pad().data(32), "general.alignment: 0 is not a power of two"));
}

TEST(Gguf, RefusesEveryTruncationOfASoundFile) {
  const std::string bytes = test::read_file(kGolden / "gguf/types.gguf");
  const test::TemporaryFolder folder;
  for (size_t size = 0; size + 32 < bytes.size(); size += 61) {
    const std::string path = folder.write("x.gguf", bytes.substr(0, size));
    ASSERT_TRUE(test::fails(ExitCode::BadData, "x.gguf: ", [&] { GgufFile{path}; })) << size;
  }
}

TEST(Gguf, NamesTheArchitectureItDoesNotHave) {
  const test::TemporaryFolder folder;
  const Builder file = Builder().header(0, 1).text("general.architecture").put(kString).text("mamba");
  const std::string path = folder.write("x.gguf", file.bytes());
  EXPECT_TRUE(
      test::fails(ExitCode::BadData,
                  "general.architecture: \"mamba\" is not supported; supported are llama, qwen2, qwen3",
                  [&] { load_model(path, {}, Device::cpu()); }));
}

TEST(Gguf, RefusesASizeOfZeroBeforeOthersOverflowBehindIt) {
  const uint64_t huge = uint64_t{1} << 62;
  for (const auto& dimensions : {std::vector<uint64_t>{0, huge, huge}, {huge, huge, 0}, {0}, {32, 0}}) {
    const Builder file = Builder().header(1, 0).tensor("t", dimensions, kF32, 0).pad().data(64);
    EXPECT_TRUE(refuses(file, "t: ")) << dimensions.size();
  }
  EXPECT_TRUE(
      refuses(Builder().header(1, 0).tensor("t", {8, 0}, kF32, 0).pad(), "t: a size of its shape is 0"));
}

}  // namespace
}  // namespace prospect
