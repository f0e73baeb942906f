#include "train/rows.h"

#include <gtest/gtest.h>

#include "kernels/common/error.h"
#include "tests/support/temporary_folder.h"

namespace prospect::test {
namespace {

std::vector<Row> read(const std::string& text, const RowOptions& options = {}) {
  const TemporaryFolder folder;
  return read_rows(folder.write("rows.jsonl", text), options);
}

/// What the error says after the folder's name; "" when there is none.
std::string refusal(const std::string& text, const RowOptions& options = {}) {
  try {
    read(text, options);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::BadData);
    const std::string message = error.what();
    return message.substr(message.find("rows.jsonl"));
  }
  return "";
}

const std::string kGood = R"({"prompt":"p","completion":"c","label":true})"
                          "\n";

TEST(Rows, ReadsUnpairedRowsWithBothKindsOfLabel) {
  const auto rows = read(
      "\xEF\xBB\xBF{\"prompt\":\"Tea?\",\"completion\":\"Ja, \\u00e9\\ud83d\\ude00\",\"label\":true}\r\n"
      "\n  \t\r\n"
      R"({"label":0,"id":[{"a":null}],"completion":"no","prompt":""})"
      "\n"
      R"({"prompt":"x","completion":"y","label":1})");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].prompt, "Tea?");
  EXPECT_EQ(rows[0].completion, "Ja, \u00e9\U0001F600");
  EXPECT_TRUE(rows[0].label);
  EXPECT_EQ(rows[0].line, 1);
  EXPECT_EQ(rows[1].prompt, "");
  EXPECT_FALSE(rows[1].label);
  EXPECT_EQ(rows[1].line, 4);
  EXPECT_TRUE(rows[2].label);
  EXPECT_EQ(rows[2].line, 5);
}

TEST(Rows, InterleavesTheTwoRowsOfEachPair) {
  const auto rows = read(R"({"prompt":"2+2=","chosen":"4","rejected":"5"}
{"prompt":"3+3=","chosen":"6","rejected":"7"})");
  ASSERT_EQ(rows.size(), 4u);
  const char* const completions[] = {"4", "5", "6", "7"};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(rows[i].completion, completions[i]);
    EXPECT_EQ(rows[i].label, i % 2 == 0);
    EXPECT_EQ(rows[i].prompt, i < 2 ? "2+2=" : "3+3=");
    EXPECT_EQ(rows[i].line, i < 2 ? 1 : 2);
  }
}

TEST(Rows, NamesFileLineAndFieldOfABadLabel) {
  const std::string head = R"({"prompt":"p","completion":"c","label":)", reason =
                                                                             "rows.jsonl:2 label: must be "
                                                                             "true, false, 1 or 0, got ";
  for (const char* label :
       {"\"maybe\"", "\"true\"", "2", "-1", "1.0", "null", "[true]", "18446744073709551615"}) {
    EXPECT_EQ(refusal(kGood + head + label + "}"), reason + label);
  }
}

TEST(Rows, NamesFileLineAndFieldOfEveryOtherAnomaly) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"completion":"c","label":true})", "rows.jsonl:2 prompt: is missing"},
      {R"({"prompt":"p","label":true})", "rows.jsonl:2 completion: is missing"},
      {R"({"prompt":"p","completion":"c"})", "rows.jsonl:2 label: is missing"},
      {R"({"prompt":7,"completion":"c","label":true})", "rows.jsonl:2 prompt: must be a string, got 7"},
      {R"({"prompt":"p","completion":null,"label":true})",
       "rows.jsonl:2 completion: must be a string, got null"},
      {R"({"prompt":"p","completion":"","label":true})",
       "rows.jsonl:2 completion: is empty, there is nothing to learn from"},
      {R"({"prompt":"p","prompt":"q","completion":"c","label":true})",
       "rows.jsonl:2 prompt: stands twice in one row"},
      {R"({"prompt":"p","chosen":"a","rejected":"b"})",
       "rows.jsonl:2 completion: is missing; line 1 has it, and one file has one format"},
      {R"({"prompt":"p","completion":"c","chosen":"a","label":true})",
       "rows.jsonl:2 completion: a row has either completion and label or chosen and rejected"},
      {R"([1, 2])", "rows.jsonl:2 row: must be a JSON object, got [1,2]"},
      {R"({"prompt":[{"role":"user","content":"a rather long question"}],"completion":"c","label":true})",
       R"(rows.jsonl:2 prompt: must be a string, got [{"role":"user","content":"a rather long...)"},
  };
  for (const auto& [line, message] : cases) EXPECT_EQ(refusal(kGood + line + "\n" + kGood), message);
  EXPECT_EQ(refusal(R"({"prompt":"p","chosen":"a"})"), "rows.jsonl:1 rejected: is missing");
  EXPECT_EQ(refusal(R"({"prompt":"p","chosen":"a","rejected":""})"),
            "rows.jsonl:1 rejected: is empty, there is nothing to learn from");
}

TEST(Rows, RefusesLinesThatAreNotJson) {
  const std::string deep(100000, '[');
  for (const std::string& line : {std::string("{\"prompt\":\"\xff\",\"completion\":\"c\",\"label\":true}"),
                                  std::string(R"({"prompt":"p","completion":"c","label":true)"),
                                  std::string(R"({"prompt":"p\ud800","completion":"c","label":true})"),
                                  kGood.substr(0, kGood.size() - 1) + kGood, std::string("hello"),
                                  std::string(R"({"prompt":"p","completion":"c","label":true,"x":1e999999})"),
                                  std::string("{\"prompt\":\"a\0b\"}", 16), R"({"prompt":)" + deep}) {
    const std::string message = refusal(kGood + line + "\n" + kGood);
    EXPECT_TRUE(message.starts_with("rows.jsonl:2 row: is not valid JSON: ")) << message;
  }
}

TEST(Rows, RefusesAFileWithoutRowsAndALineWithoutEnd) {
  EXPECT_EQ(refusal(""), "rows.jsonl: has no rows");
  EXPECT_EQ(refusal("\xEF\xBB\xBF\n \n"), "rows.jsonl: has no rows");
  const std::string message = refusal(kGood + std::string((16 << 20) + 1, ' '));
  EXPECT_EQ(message, "rows.jsonl:2 row: 16777217 bytes, more than the 16777216 that a line may have");
}

TEST(Rows, ReportsAMissingFileAsSuch) {
  try {
    read_rows("/nowhere/rows.jsonl");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::MissingInput);
  }
}

TEST(Rows, NeedsNoLabelWhereTheObjectiveReadsNone) {
  const RowOptions options{.label_required = false};
  EXPECT_TRUE(read(R"({"prompt":"p","completion":"c"})", options)[0].label);
  EXPECT_EQ(refusal(R"({"prompt":"p","completion":"c","label":"maybe"})", options),
            "rows.jsonl:1 label: must be true, false, 1 or 0, got \"maybe\"");
}

TEST(Rows, ReadsPromptsAndNothingElse) {
  const TemporaryFolder folder;
  const auto prompts =
      read_prompts(folder.write("p.jsonl", "{\"prompt\":\"a\",\"label\":\"?\"}\n\n{\"prompt\":\"b\"}"));
  ASSERT_EQ(prompts.size(), 2u);
  EXPECT_EQ(prompts[1].text, "b");
  EXPECT_EQ(prompts[1].line, 3);
  EXPECT_THROW(read_prompts(folder.write("q.jsonl", "{\"text\":\"a\"}")), Error);
}

}  // namespace
}  // namespace prospect::test
