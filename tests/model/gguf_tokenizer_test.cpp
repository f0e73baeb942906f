#include "model/gguf_tokenizer.h"

#include <gtest/gtest.h>

#include "engine/files.h"
#include "kernels/common/error.h"
#include "model/gguf.h"
#include "model/tokenizer.h"
#include "tests/support/json_lines.h"

namespace prospect::test {
namespace {

using Json = nlohmann::json;

const std::filesystem::path kParity = std::filesystem::path(PROSPECT_SOURCE_DIR) / "tests/golden/parity";

/// What a converter would have put into a GGUF file for the tokenizer of a parity case.
GgufTokenizer gguf_of(const std::string& family, const std::string& pre) {
  const Json json = Json::parse(read_text(kParity / family / "tokenizer.json"));
  GgufTokenizer tokenizer{.source = "t.gguf", .model = "gpt2", .pre = pre, .bos = 0, .eos = 1, .padding = 1};
  const Json& vocab = json.at("model").at("vocab");
  tokenizer.tokens.resize(vocab.size());
  tokenizer.token_types.assign(vocab.size(), 1);
  for (const auto& [token, id] : vocab.items()) tokenizer.tokens[id.get<size_t>()] = token;
  for (const Json& added : json.at("added_tokens")) tokenizer.token_types[added.at("id").get<size_t>()] = 3;
  for (const Json& merge : json.at("model").at("merges")) {
    tokenizer.merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  return tokenizer;
}

Tokenizer load(const GgufTokenizer& tokenizer) {
  return Tokenizer::from_json(tokenizer_json_from_gguf(tokenizer), tokenizer.source,
                              tokenizer_config_from_gguf(tokenizer));
}

std::string error_of(const GgufTokenizer& tokenizer) {
  try {
    load(tokenizer);
    return "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::BadData);
    return error.what();
  }
}

TEST(GgufTokenizer, GivesTheIdsOfTheFamilysOwnFile) {
  const std::pair<const char*, const char*> families[] = {
      {"gpt2", "gpt-2"}, {"smollm", "smollm"}, {"llama3", "llama-bpe"}, {"qwen2", "qwen2"}};
  for (const auto& [family, pre] : families) {
    const Tokenizer own = Tokenizer::load(kParity / family), imported = load(gguf_of(family, pre));
    EXPECT_EQ(imported.eos_text(), "<|end|>");
    EXPECT_EQ(imported.size(), own.size());
    for (const Json& row : json_lines(kParity / family / "rows.jsonl")) {
      const std::string text = row.at("completion").get<std::string>() + "<|end|> it's 1234\r\n\r\n e\u0301";
      EXPECT_EQ(imported.encode(text), own.encode(text)) << family << ": " << text;
    }
  }
}

TEST(GgufTokenizer, IsLoadedFromAFile) {
  const auto path = std::filesystem::path(PROSPECT_SOURCE_DIR) / "tests/golden/tokenizer/smollm.gguf";
  const Tokenizer own = Tokenizer::load(kParity / "smollm"), imported = Tokenizer::load(path);
  const std::string text = "The coffee, 1998's best<|end|>\n 😀";
  EXPECT_EQ(imported.encode(text), own.encode(text));
  EXPECT_EQ(imported.eos_text(), "<|end|>");
  const GgufTokenizer read = read_gguf_tokenizer(GgufFile(path));
  EXPECT_EQ(read.chat_template, "{{ messages }}");
  EXPECT_EQ(read.bos, -1);
  EXPECT_EQ(read.add_bos, 0);
  EXPECT_EQ(read.add_eos, -1);
}

TEST(GgufTokenizer, ObeysTheFileOnBosAndEos) {
  GgufTokenizer tokenizer = gguf_of("llama3", "llama-bpe");
  EXPECT_EQ(load(tokenizer).encode("").size(), 1u);
  tokenizer.add_bos = 0;
  EXPECT_EQ(load(tokenizer).encode("").size(), 0u);
  tokenizer.add_eos = 1;
  EXPECT_EQ(load(tokenizer).encode(""), std::vector<int32_t>{1});
  tokenizer.eos = -1;
  EXPECT_EQ(error_of(tokenizer),
            "t.gguf: tokenizer.ggml.eos_token_id is missing, but is to be added to texts");
}

TEST(GgufTokenizer, TellsTokensByTheirType) {
  GgufTokenizer tokenizer = gguf_of("gpt2", "gpt-2");
  tokenizer.tokens.insert(tokenizer.tokens.end(), {"<tool>", "[PAD]", "<unk>"});
  tokenizer.token_types.insert(tokenizer.token_types.end(), {4, 5, 2});
  const Tokenizer loaded = load(tokenizer);
  const std::vector<int32_t> ids = loaded.encode("<tool><unk>");
  EXPECT_EQ(ids, (std::vector<int32_t>{500, 502}));
  EXPECT_EQ(loaded.decode(ids, true), "<tool>");
  EXPECT_EQ(loaded.token_id("[PAD]"), -1);
}

TEST(GgufTokenizer, WritesAConfigForTransformers) {
  GgufTokenizer tokenizer = gguf_of("gpt2", "gpt-2");
  tokenizer.chat_template = "{{ messages }}";
  const Json config = Json::parse(tokenizer_config_from_gguf(tokenizer));
  EXPECT_EQ(config.at("tokenizer_class"), "PreTrainedTokenizerFast");
  EXPECT_EQ(config.at("bos_token"), "<|begin|>");
  EXPECT_EQ(config.at("pad_token"), "<|end|>");
  EXPECT_EQ(config.at("chat_template"), "{{ messages }}");
  EXPECT_FALSE(config.contains("unk_token"));
}

TEST(GgufTokenizer, NamesWhatIsNotSupportedOrNotSound) {
  const auto broken = [](auto change) {
    GgufTokenizer tokenizer = gguf_of("gpt2", "gpt-2");
    change(tokenizer);
    return error_of(tokenizer);
  };
  EXPECT_EQ(broken([](auto& t) { t.pre = "tekken"; }),
            "t.gguf: tokenizer.ggml.pre: \"tekken\" is not supported");
  EXPECT_EQ(broken([](auto& t) { t.model = "llama"; }),
            "t.gguf: tokenizer.ggml.model: \"llama\" is not supported");
  EXPECT_EQ(broken([](auto& t) { t.token_types.pop_back(); }),
            "t.gguf: tokenizer.ggml.token_type: 499 types for 500 tokens");
  EXPECT_EQ(broken([](auto& t) { t.token_types[7] = 6; }),
            "t.gguf: tokenizer.ggml.token_type[7]: 6 is not supported");
  EXPECT_EQ(broken([](auto& t) { t.tokens[7] = "\xFF"; }), "t.gguf: tokenizer.ggml.tokens[7]: not UTF-8");
  EXPECT_EQ(broken([](auto& t) { t.tokens[7] = t.tokens[6]; }),
            "t.gguf: tokenizer.ggml.tokens[7]: \"%\" comes twice");
  EXPECT_EQ(broken([](auto& t) { t.merges[7] = "\xFF"; }), "t.gguf: tokenizer.ggml.merges[7]: not UTF-8");
  EXPECT_EQ(broken([](auto& t) { t.eos = 500; }),
            "t.gguf: tokenizer.ggml.eos_token_id: 500, but there are 500 tokens");
  EXPECT_EQ(broken([](auto& t) { t.merges[7] = "x"; }),
            "t.gguf: model.merges[7]: expected \"a b\" or [\"a\", \"b\"], got \"x\"");
}

TEST(GgufTokenizer, RefusesASpecialTokenThatIsUnusedAndNotUtf8) {
  GgufTokenizer tokenizer = gguf_of("gpt2", "gpt-2");
  tokenizer.tokens.push_back("\xFF");
  tokenizer.token_types.push_back(5);
  tokenizer.bos = 500;
  tokenizer.add_bos = 1;
  EXPECT_EQ(error_of(tokenizer), "t.gguf: tokenizer.ggml.bos_token_id: its token is not UTF-8");
}

}  // namespace
}  // namespace prospect::test
