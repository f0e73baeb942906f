#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>

#include "engine/files.h"
#include "kernels/common/check.h"
#include "model/tokenizer.h"

// Files made to break the reader, and files of kinds that it does not support: each gives one sentence that
// names the fault.
namespace prospect::test {
namespace {

using Json = nlohmann::json;

const Json& sound() {
  static const Json json = Json::parse(
      read_text(std::filesystem::path(PROSPECT_SOURCE_DIR) / "tests/golden/parity/gpt2/tokenizer.json"));
  return json;
}

std::string error_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::BadData);
    return error.what();
  }
  return "no error";
}

std::string load_error(std::string_view text) {
  return error_of([&] { Tokenizer::from_json(text, "t.json"); });
}

/// A file that is sound but for what lies at a JSON pointer.
Json with(const char* pointer, const Json& value) {
  Json json = sound();
  json[Json::json_pointer(pointer)] = value;
  return json;
}

void expect_refused(const char* pointer, const Json& value, const std::string& words) {
  const std::string error = load_error(with(pointer, value).dump());
  EXPECT_NE(error.find(words), std::string::npos) << pointer << " = " << value.dump() << ": " << error;
  EXPECT_TRUE(error.starts_with("t.json: ")) << error;
}

TEST(HostileTokenizer, NamesTheComponentThatIsNotSupported) {
  const auto type = [](const char* name) { return Json{{"type", name}}; };
  expect_refused("/normalizer", type("Precompiled"), "normalizer: type \"Precompiled\" is not supported");
  expect_refused("/pre_tokenizer", type("Metaspace"), "pre_tokenizer: type \"Metaspace\" is not supported");
  expect_refused("/pre_tokenizer", nullptr, "pre_tokenizer: none");
  expect_refused("/pre_tokenizer", {{"type", "Digits"}}, "ByteLevel must be the last step");
  expect_refused("/model/type", "Unigram", "model.type: \"Unigram\" is not supported");
  expect_refused("/model/dropout", 0.1, "model.dropout: 0.1 is not supported");
  expect_refused("/model/byte_fallback", true, "model.byte_fallback");
  expect_refused("/model/end_of_word_suffix", "</w>", "model.end_of_word_suffix");
  expect_refused("/post_processor", type("BertProcessing"), "post_processor: type \"BertProcessing\"");
  expect_refused("/decoder", type("WordPiece"), "decoder: type \"WordPiece\"");
  expect_refused("/decoder", nullptr, "decoder: none");
}

TEST(HostileTokenizer, NamesTheSplitBehaviorThatIsNotSupported) {
  Json json = sound();
  json["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "MergedWithNext"}},
        {{"type", "ByteLevel"}}}}};
  EXPECT_EQ(
      load_error(json.dump()),
      "t.json: pre_tokenizer.pretokenizers[0].behavior: Split with \"MergedWithNext\" is not supported");
}

TEST(HostileTokenizer, RefusesWhatIsNoJson) {
  const std::string text = sound().dump();
  for (size_t length = 0; length < text.size(); length += 97) {
    EXPECT_NE(load_error(text.substr(0, length)), "no error") << length;
  }
  EXPECT_NE(load_error("[]").find("expected an object"), std::string::npos);
  EXPECT_NE(load_error("{\"a\": \"\xFF\"}"), "no error");
}

TEST(HostileTokenizer, RefusesDeepNesting) {
  for (const char* open : {"[", "{\"a\":"}) {
    std::string text;
    for (int i = 0; i < 1'000'000; ++i) text += open;
    EXPECT_NE(load_error(text).find("nested deeper than 64"), std::string::npos);
  }
}

TEST(HostileTokenizer, NamesTheFieldOfTheWrongType) {
  expect_refused("/added_tokens", 7, "added_tokens: expected an array, got number");
  expect_refused("/added_tokens/0/content", 7, "added_tokens[0].content: expected a string");
  expect_refused("/added_tokens/0/special", "yes", "added_tokens[0].special: expected true or false");
  expect_refused("/added_tokens/0/id", 0.5, "added_tokens[0].id: expected an integer");
  expect_refused("/model", Json::array(), "model: expected an object");
  expect_refused("/model/vocab", Json::array(), "model.vocab: expected an object");
  expect_refused("/model/merges/3", "a", "model.merges[3]: expected \"a b\"");
  expect_refused("/model/merges/3", {"a", "b", "c"}, "model.merges[3]");
  expect_refused("/post_processor/single", {{{"Sequence", {{"id", "B"}}}}}, "expected one sequence, A");
  expect_refused("/post_processor/single", Json::array(), "has no place for the text");
}

TEST(HostileTokenizer, RefusesIdsThatWouldCostMemoryOrMeanTwoThings) {
  for (const char* id : {"4194304", "4294967296", "18446744073709551615", "-1", "1e30"}) {
    expect_refused("/model/vocab/the", Json::parse(id), "no id in [0, 4194303]");
    EXPECT_NE(load_error(with("/added_tokens/0/id", Json::parse(id)).dump()), "no error");
  }
  expect_refused("/model/vocab/the", 5, "have the same id 5");
  expect_refused("/added_tokens/0/id", 7, "\"<|begin|>\" has id 7, but its place is 0");
}

TEST(HostileTokenizer, RefusesWhatNamesUnknownTokens) {
  expect_refused("/model/merges/3", {"qq", "zz"}, "model.merges[3]: \"qq\" is no token");
  expect_refused("/model/merges/3", "q !", "model.merges[3]: \"q!\" is no token");
  expect_refused("/model/unk_token", "<unk>", "model.unk_token: \"<unk>\" is no token");
  const Json single = {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}};
  expect_refused("/post_processor/single", single, "the template names \"<s>\"");
  Json json = with("/post_processor/single", single);
  json["post_processor"]["special_tokens"] = {{"<s>", {{"ids", {900}}}}};
  EXPECT_EQ(load_error(json.dump()), "t.json: post_processor: no token has id 900");
}

Json with_split(const std::string& pattern) {
  return with("/pre_tokenizer",
              {{"type", "Sequence"},
               {"pretokenizers",
                {{{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}},
                 {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}});
}

TEST(HostileTokenizer, RefusesWhatIsNoRegularExpression) {
  const std::string start = "t.json: pre_tokenizer Split: ";
  EXPECT_TRUE(load_error(with_split("(a").dump()).starts_with(start + "not a regular expression"));
  EXPECT_TRUE(load_error(with_split("\\p{Nonsense}").dump()).starts_with(start));
  EXPECT_TRUE(
      load_error(with_split(std::string(8000, '(') + std::string(8000, ')')).dump()).starts_with(start));
  EXPECT_TRUE(
      load_error(with_split(std::string(20000, 'a')).dump()).starts_with(start + "a pattern of 20000 bytes"));
}

TEST(HostileTokenizer, StopsARegularExpressionThatRunsAway) {
  // 2^60 ways to cut the run before each fails.
  const std::string text = std::string(60, 'a') + "!";
  for (const char* pattern : {"(?:a|a)+[bc]", "(?:a|aa)+[bc]", "(?:a|\\g<0>)+[bc]"}) {
    const auto begin = std::chrono::steady_clock::now();
    const std::string error =
        error_of([&] { Tokenizer::from_json(with_split(pattern).dump(), "t.json").encode(text); });
    EXPECT_TRUE(error.starts_with("t.json: pre_tokenizer Split: ")) << pattern << ": " << error;
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20)) << pattern;
  }
}

TEST(HostileTokenizer, TakesLinearTimeForLongRuns) {
  // At quadratic cost each of these would take hours.
  const Tokenizer tokenizer = Tokenizer::from_json(with("/normalizer", {{"type", "NFC"}}).dump(), "t.json");
  for (const char* unit : {"a", " ", "\n ", "\u0323\u0301", "<|"}) {
    std::string text;
    while (text.size() < 300'000) text += unit;
    EXPECT_GT(tokenizer.encode(text).size(), 1000u) << unit;
  }
}

TEST(HostileTokenizer, RefusesAConfigOfTheWrongShape) {
  const std::string json = sound().dump();
  const auto refuse = [&](const char* config) {
    return error_of([&] { Tokenizer::from_json(json, "t.json", config); });
  };
  EXPECT_NE(refuse("[").find("t.json (tokenizer_config): "), std::string::npos);
  EXPECT_NE(refuse(R"({"eos_token": 3})").find("eos_token: expected a string"), std::string::npos);
  EXPECT_NE(refuse(R"({"bos_token": "<s>", "add_bos_token": true})").find("\"<s>\" is no token"),
            std::string::npos);
}

TEST(HostileTokenizer, NamesTheFileThatIsMissing) {
  try {
    Tokenizer::load("/nonexistent/model");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::MissingInput);
    EXPECT_NE(std::string(error.what()).find("/nonexistent/model"), std::string::npos);
  }
}

TEST(HostileTokenizer, RefusesAMatchThatBeginsBeforeTheOneBefore) {
  // \\K in a look-behind moves the beginning of a match to the left.
  const std::string error =
      error_of([&] { Tokenizer::from_json(with_split("x|a(?<=\\Kxa)").dump(), "t.json").encode("xa"); });
  EXPECT_TRUE(error.starts_with("t.json: pre_tokenizer Split: a match that begins")) << error;
  EXPECT_EQ(load_error(with_split("\\Ga").dump()), "t.json: pre_tokenizer Split: \\G is not supported");
  EXPECT_EQ(load_error(with_split("\\\\Ga").dump()), "no error");
}

TEST(HostileTokenizer, StopsLookAheadsThatWalkTheWholeText) {
  // 10^11 steps, none of which the library counts.
  for (const char* pattern : {"a(?=.*b)", "a(?!.*b)"}) {
    const Tokenizer tokenizer = Tokenizer::from_json(with_split(pattern).dump(), "t.json");
    const std::string error = error_of([&] { tokenizer.encode(std::string(400'000, 'a')); });
    EXPECT_EQ(error, "t.json: pre_tokenizer Split: takes far too long, in a text of 400000 bytes") << pattern;
  }
}

TEST(HostileTokenizer, TakesLinearTimeForTokensThatSwallowSpace) {
  Json json = sound();
  for (const char* side : {"lstrip", "rstrip"}) {
    json["added_tokens"][0][side] = true;
    json["added_tokens"][1][side] = true;
  }
  json["added_tokens"].push_back({{"id", json["model"]["vocab"].size()},
                                  {"content", " "},
                                  {"lstrip", true},
                                  {"rstrip", true},
                                  {"normalized", false}});
  const auto begin = std::chrono::steady_clock::now();
  Tokenizer::from_json(json.dump(), "t.json").encode(std::string(1'000'000, ' '));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(HostileTokenizer, RefusesAnIdThatMakesATableFarLargerThanTheFile) {
  expect_refused("/model/vocab/the", 4'000'000, "the id 4000000 is too large for 50");
}

}  // namespace
}  // namespace prospect::test
