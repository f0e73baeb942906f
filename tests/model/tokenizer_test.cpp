#include "model/tokenizer.h"

#include <gtest/gtest.h>

#include "engine/files.h"
#include "kernels/common/check.h"
#include "tests/support/json_lines.h"

namespace prospect::test {
namespace {

using Json = nlohmann::json;

const std::filesystem::path kGolden = std::filesystem::path(PROSPECT_SOURCE_DIR) / "tests/golden";
const char* const kFamilies[] = {"gpt2", "llama", "llama3", "qwen2", "qwen3", "smollm"};

/// The name of a golden pipeline: a family of parity/, or a variant beside the strings.
Tokenizer load_golden(const std::string& name) {
  return name.starts_with("variant-") ? Tokenizer::load(kGolden / "tokenizer" / (name + ".json"))
                                      : Tokenizer::load(kGolden / "parity" / name / "tokenizer.json");
}

struct SplitIds {
  std::vector<int32_t> prompt, completion;
  bool operator==(const SplitIds&) const = default;
};

/// TRL's rule: the completion, with the EOS text, begins where its ids diverge from the prompt's own.
SplitIds trl_ids(const Tokenizer& tokenizer, const std::string& prompt, std::string completion) {
  if (!completion.ends_with(tokenizer.eos_text())) completion += tokenizer.eos_text();
  const std::vector<int32_t> alone = tokenizer.encode(prompt), both = tokenizer.encode(prompt + completion);
  const auto cut = std::mismatch(alone.begin(), alone.end(), both.begin(), both.end()).second;
  return {{both.begin(), cut}, {cut, both.end()}};
}

/// Rows compared.
int expect_parity(const std::filesystem::path& model, const std::filesystem::path& case_folder) {
  const Tokenizer tokenizer = Tokenizer::load(model);
  const std::vector<Json> rows = json_lines(case_folder / "rows.jsonl"),
                          ids = json_lines(case_folder / "ids.jsonl");
  EXPECT_EQ(rows.size(), ids.size());
  for (size_t i = 0; i < std::min(rows.size(), ids.size()); ++i) {
    const SplitIds expected{ids[i].at("prompt_ids"), ids[i].at("completion_ids")};
    EXPECT_EQ(trl_ids(tokenizer, rows[i].at("prompt"), rows[i].at("completion")), expected)
        << case_folder << " row " << i;
  }
  return static_cast<int>(rows.size());
}

TEST(Tokenizer, GivesTheIdsOfTrlForTheReducedCases) {
  for (const char* family : kFamilies) {
    const auto folder = kGolden / "parity" / family;
    EXPECT_EQ(expect_parity(folder, folder), 8) << family;
  }
}

TEST(Tokenizer, GivesTheIdsOfTrlForEveryParityCase) {
  const std::filesystem::path cases = std::filesystem::path(PROSPECT_PARITY_DIR) / "cases";
  if (!std::filesystem::exists(cases)) GTEST_SKIP() << "no parity cases at " << cases;
  for (const char* family : kFamilies) EXPECT_GT(expect_parity(cases / family / "model", cases / family), 8);
}

TEST(Tokenizer, EncodesAndDecodesAwkwardStringsAsHuggingFace) {
  std::map<std::string, Tokenizer> tokenizers;
  const std::vector<Json> rows = json_lines(kGolden / "tokenizer/strings.jsonl");
  ASSERT_GT(rows.size(), 1000u);
  for (const Json& row : rows) {
    const std::string name = row.at("tokenizer"), text = row.at("text");
    if (!tokenizers.contains(name)) tokenizers.emplace(name, load_golden(name));
    const Tokenizer& tokenizer = tokenizers.at(name);
    const std::vector<int32_t> expected = row.at("ids");
    EXPECT_EQ(tokenizer.encode(text, row.at("special").get<bool>()), expected)
        << name << ": " << row.at("text").dump(-1, ' ', true);
    const std::string decoded = row.value("decoded", text);
    EXPECT_EQ(tokenizer.decode(expected), decoded) << name;
    EXPECT_EQ(tokenizer.decode(expected, true), row.value("plain", decoded)) << name;
  }
}

TEST(Tokenizer, DecodesWhatItEncodedWhereNothingNormalises) {
  for (const Json& row : json_lines(kGolden / "tokenizer/strings.jsonl")) {
    if (row.at("tokenizer") != "gpt2" && row.at("tokenizer") != "llama3") continue;
    static const Tokenizer gpt2 = load_golden("gpt2"), llama3 = load_golden("llama3");
    const Tokenizer& tokenizer = row.at("tokenizer") == "gpt2" ? gpt2 : llama3;
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(row.at("text").get<std::string>(), false)), row.at("text"));
  }
}

void append_utf8(std::string& text, uint32_t c) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) {
    text += static_cast<char>(c);
  } else if (c < 0x800) {
    text += static_cast<char>(0xC0 | c >> 6), tail(0);
  } else if (c < 0x10000) {
    text += static_cast<char>(0xE0 | c >> 12), tail(6), tail(0);
  } else {
    text += static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0);
  }
}

/// FNV-1a over the ids as little-endian 32-bit numbers.
struct IdHash {
  uint64_t value = 0xCBF29CE484222325;
  void add(const std::vector<int32_t>& ids) {
    for (const int32_t id : ids) {
      for (int shift = 0; shift < 32; shift += 8) {
        value = (value ^ (static_cast<uint32_t>(id) >> shift & 0xFF)) * 0x100000001B3;
      }
    }
  }
};

/// Hashes of blocks of scalars in one context, in the order of generate.py.
std::vector<std::string> sweep_hashes(const Tokenizer& tokenizer, const Json& sweep,
                                      const std::string& context) {
  const size_t hole = context.find("{}");
  const auto block = sweep.at("block").get<uint32_t>();
  std::map<uint32_t, IdHash> hashes;
  for (const Json& range : sweep.at("ranges")) {
    for (uint32_t c = range[0]; c < range[1].get<uint32_t>(); ++c) {
      std::string text = context.substr(0, hole);
      append_utf8(text, c);
      hashes[c / block].add(tokenizer.encode(text + context.substr(hole + 2), false));
    }
  }
  std::vector<std::string> texts;
  for (const auto& [number, hash] : hashes) texts.push_back(fmt::format("{:016x}", hash.value));
  return texts;
}

TEST(Tokenizer, TreatsEachKindOfCharacterAsHuggingFace) {
  const Json sweep = Json::parse(read_text(kGolden / "tokenizer/sweep.json"));
  const std::vector<std::string> contexts = sweep.at("contexts");
  for (const auto& [family, hashes] : sweep.at("hashes").items()) {
    const Tokenizer tokenizer = load_golden(family);
    for (size_t i = 0; i < contexts.size(); ++i) {
      EXPECT_EQ(sweep_hashes(tokenizer, sweep, contexts[i]), hashes[i].get<std::vector<std::string>>())
          << family << " in " << contexts[i];
    }
  }
}

TEST(Tokenizer, ReplacesWhatIsNotUtf8) {
  const Tokenizer tokenizer = load_golden("gpt2");
  const std::pair<std::string, std::string> pairs[] = {
      {"a\xFF"
       "b",
       "a\uFFFDb"},
      {"\xE2\x82", "\uFFFD"},                    // the beginning of a euro sign: one part
      {"\xE2\x82\xE2\x82\xAC", "\uFFFD\u20AC"},  // cut short by a whole one
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},    // a surrogate: no byte of it can begin a character
      {"\xC0\x80\xF5", "\uFFFD\uFFFD\uFFFD"},    // overlong, beyond U+10FFFF
      {"\xF0\x9F\x98"
       "x\x80",
       "\uFFFDx\uFFFD"}};
  for (const auto& [broken, mended] : pairs) {
    EXPECT_EQ(tokenizer.encode(broken), tokenizer.encode(mended));
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(broken)), mended);
  }
  // Half of a character's bytes may also come out of a model.
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{tokenizer.token_id("ð"), tokenizer.token_id("Ł")}),
            "\uFFFD");
}

TEST(Tokenizer, KnowsItsTokens) {
  const Tokenizer tokenizer = Tokenizer::load(kGolden / "parity/llama");
  EXPECT_EQ(tokenizer.size(), 500);
  EXPECT_EQ(tokenizer.token_id("<|end|>"), 1);
  EXPECT_EQ(tokenizer.token(1), "<|end|>");
  EXPECT_EQ(tokenizer.token_id("no such token"), -1);
  EXPECT_EQ(tokenizer.token(500), "");
  EXPECT_EQ(tokenizer.bos_text(), "<|begin|>");
  EXPECT_EQ(tokenizer.eos_text(), "<|end|>");
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{-5, 1 << 30}), "");
}

TEST(Tokenizer, LetsItsConfigReplaceTheTemplate) {
  const std::string json = read_text(kGolden / "parity/llama/tokenizer.json");
  const auto encode = [&](const char* config) { return Tokenizer::from_json(json, "t", config).encode("a"); };
  const std::vector<int32_t> plain = Tokenizer::from_json(json, "t").encode("a", false);
  ASSERT_EQ(plain.size(), 1u);
  EXPECT_EQ(encode("{}"), (std::vector<int32_t>{0, plain[0]}));
  EXPECT_EQ(encode(R"({"bos_token":"<|begin|>","add_bos_token":false})"), plain);
  EXPECT_EQ(encode(R"({"eos_token":{"content":"<|end|>"},"add_eos_token":true})"),
            (std::vector<int32_t>{plain[0], 1}));
}

}  // namespace
}  // namespace prospect::test
