#include "train/examples.h"

#include <gtest/gtest.h>

#include "kernels/common/error.h"
#include "model/tokenizer.h"
#include "tests/support/json_lines.h"

namespace prospect::test {
namespace {

using Ids = std::vector<int32_t>;

/// A token a byte, but "ab" is one token (300) and "$" the end of a text (1).
Ids encode(std::string_view text) {
  Ids ids;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool merge = text.substr(i, 2) == "ab";
    ids.push_back(merge ? 300 : text[i] == '$' ? 1 : text[i]);
    i += merge;
  }
  return ids;
}

Examples make(const std::vector<Row>& rows, int64_t max_length = 100, int64_t vocab_size = 0) {
  return make_examples(rows, encode,
                       {.source = "f", .eos_text = "$", .max_length = max_length, .vocab_size = vocab_size});
}

std::string refusal(const std::vector<Row>& rows, int64_t max_length = 100, int64_t vocab_size = 0) {
  try {
    make(rows, max_length, vocab_size);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::BadData);
    return error.what();
  }
  return "";
}

TEST(Examples, AppendsTheEndOfTextUnlessItStandsThere) {
  const auto list = make({{"p", "xy", true, 1}, {"p", "xy$", false, 2}}).list;
  EXPECT_EQ(list[0].prompt, (Ids{'p'}));
  EXPECT_EQ(list[0].completion, (Ids{'x', 'y', 1}));
  EXPECT_EQ(list[1].completion, list[0].completion);
  EXPECT_TRUE(list[0].label);
  EXPECT_FALSE(list[1].label);
}

TEST(Examples, BeginsTheCompletionWhereTheIdsDivergeFromThePrompts) {
  const auto examples = make({{"pa", "bc", true, 1}});
  EXPECT_EQ(examples.list[0].prompt, (Ids{'p'}));
  EXPECT_EQ(examples.list[0].completion, (Ids{300, 'c', 1}));
  EXPECT_EQ(examples.merged, 1);
}

TEST(Examples, KeepsTheStartAndDropsRowsWhosePromptFillsTheLength) {
  const auto examples = make({{"pp", "xyz", true, 1}, {"pppp", "x", true, 2}, {"ppp", "x", false, 3}}, 4);
  ASSERT_EQ(examples.list.size(), 2u);
  EXPECT_EQ(examples.list[0].completion, (Ids{'x', 'y'}));
  EXPECT_EQ(examples.list[1].completion, (Ids{'x'}));
  EXPECT_GT(examples.list[1].uncut.size(), 1u);
  EXPECT_EQ(examples.list[1].uncut.front(), 'x');
  EXPECT_EQ(examples.list[1].row, 2);
  EXPECT_EQ(examples.list[1].line, 3);
  EXPECT_EQ(examples.truncated, 2);
  EXPECT_EQ(examples.dropped, 1);
  EXPECT_EQ(examples.first_dropped_line, 2);
  EXPECT_EQ(examples.desirable(), 1);
  EXPECT_EQ(examples.undesirable(), 1);
}

TEST(Examples, NamesTheLineOfTheFirstRowThatCannotBeUsed) {
  EXPECT_EQ(refusal({{"p", "x", true, 4}, {"", "x", true, 7}, {"", "y", true, 9}}),
            "f:7 prompt: has no tokens; the first token of a completion needs one before it");
  EXPECT_EQ(refusal({{"a", "b", true, 3}}),
            "f:3 prompt: has no tokens; the first token of a completion needs one before it");
  EXPECT_EQ(refusal({{"pa", "b", true, 3}}, 100, 300),
            "f:3 row: the tokenizer gives token 300, but the model has 300 of them");
  EXPECT_EQ(refusal({{"pppp", "x", true, 2}}, 4),
            "f: no row is left: every prompt alone fills the 4 tokens of max_length");
}

TEST(Examples, RefusesACompletionThatAddsNoTokens) {
  const auto first_two = [](std::string_view text) { return encode(text.substr(0, 2)); };
  const std::vector<Row> rows{{"pp", "x", true, 5}};
  EXPECT_THROW(make_examples(rows, first_two, {.source = "f", .eos_text = "$"}), Error);
}

TEST(Examples, NumbersEqualTextsAlike) {
  const auto list = make({{"p", "x", true, 1}, {"q", "x", true, 2}, {"p", "y", true, 3}}).list;
  EXPECT_EQ(list[0].prompt_text, list[2].prompt_text);
  EXPECT_NE(list[0].prompt_text, list[1].prompt_text);
  EXPECT_EQ(list[0].completion_text, list[1].completion_text);
  EXPECT_NE(list[0].completion_text, list[2].completion_text);
}

TEST(Examples, SummarisesLengths) {
  const auto examples = make({{"p", "x", true, 1}, {"ppppp", "xxxx", true, 2}, {"pp", "xxx", true, 3}});
  const Lengths prompt = examples.prompt_lengths(), completion = examples.completion_lengths();
  EXPECT_EQ(prompt.shortest, 1);
  EXPECT_EQ(prompt.median, 2);
  EXPECT_EQ(prompt.longest, 5);
  EXPECT_DOUBLE_EQ(prompt.mean, 8.0 / 3);
  EXPECT_EQ(completion.shortest, 2);
  EXPECT_EQ(completion.longest, 5);
}

/// Compares with the ids that TRL recorded; returns the number of rows.
size_t expect_recorded_ids(const std::filesystem::path& model, const std::filesystem::path& folder) {
  const Tokenizer tokenizer = Tokenizer::load(model);
  const std::string path = (folder / "rows.jsonl").string();
  const auto encode = [&](std::string_view text) { return tokenizer.encode(text); };
  const auto examples =
      make_examples(read_rows(path), encode, {.source = path, .eos_text = tokenizer.eos_text()});
  size_t count = 0;
  for (const nlohmann::json& ids : json_lines(folder / "ids.jsonl")) {
    EXPECT_EQ(examples.list.at(count).prompt, ids.at("prompt_ids").get<Ids>()) << folder << ":" << count + 1;
    EXPECT_EQ(examples.list.at(count).completion, ids.at("completion_ids").get<Ids>())
        << folder << ":" << count + 1;
    ++count;
  }
  EXPECT_EQ(count, examples.list.size());
  return count;
}

class RecordedIds : public testing::TestWithParam<const char*> {};

TEST_P(RecordedIds, EqualOursInTheReducedCases) {
  const auto folder = std::filesystem::path(PROSPECT_SOURCE_DIR) / "tests/golden/parity" / GetParam();
  EXPECT_EQ(expect_recorded_ids(folder, folder), 8u);
}

TEST_P(RecordedIds, EqualOursInTheFullCases) {
  const auto folder = std::filesystem::path(PROSPECT_PARITY_DIR) / "cases" / GetParam();
  if (!exists(folder)) GTEST_SKIP() << folder << " is not there";
  EXPECT_GE(expect_recorded_ids(folder / "model", folder), 48u);
}

INSTANTIATE_TEST_SUITE_P(Families, RecordedIds,
                         testing::Values("gpt2", "llama", "llama3", "qwen2", "qwen3", "smollm"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace prospect::test
