#include <gtest/gtest.h>

#include "model/model.h"
#include "tests/support/json_lines.h"
#include "train/corpus.h"
#include "train/packed_batch.h"
#include "train/scoring.h"

namespace prospect::test {
namespace {

namespace fs = std::filesystem;

/// Where the models and results of transformers are: a whole set beside the checkout, and a reduced copy in
/// it, whose family folders hold model and rows together.
struct Case {
  std::string family;
  bool reduced;
  fs::path root() const {
    return reduced ? fs::path(PROSPECT_SOURCE_DIR) / "tests/golden/parity" / family
                   : fs::path(PROSPECT_PARITY_DIR) / "cases" / family;
  }
  fs::path model() const { return reduced ? root() : root() / "model"; }
};

class Parity : public testing::TestWithParam<Case> {};

TEST_P(Parity, IdsAndLogProbabilitiesEqualThoseOfTransformers) {
  const Case& which = GetParam();
  if (!fs::exists(which.root())) GTEST_SKIP() << which.root() << " is not here";
  const Corpus corpus =
      load_corpus({.model = which.model().string(), .data = (which.root() / "rows.jsonl").string()});
  const auto ids = json_lines(which.root() / "ids.jsonl"), scores = json_lines(which.root() / "scores.jsonl");
  const std::vector<Example>& examples = corpus.examples.list;
  ASSERT_EQ(examples.size(), ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(examples[i].prompt, ids[i].at("prompt_ids").get<std::vector<int32_t>>()) << "row " << i;
    EXPECT_EQ(examples[i].completion, ids[i].at("completion_ids").get<std::vector<int32_t>>()) << "row " << i;
  }
  std::vector<Sequence> sequences;
  for (const Example& example : examples) sequences.push_back(matched_sequence(example, example.row));
  const Model model = load_model(which.model(), {}, Device::cpu());
  const auto scored = score_sequences(Transformer(model), sequences, 1024).log_probabilities;
  for (size_t i = 0; i < scored.size(); ++i) {
    const auto expected = scores[i].at("logps").get<std::vector<double>>();
    const auto actual = to_doubles(scored[i]);
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t t = 0; t < expected.size(); ++t) {
      // Both sides are fp32 networks; logits of size 10 carry about ten roundings of 6e-7 each.
      EXPECT_NEAR(actual[t], expected[t], 1e-5 * std::max(1.0, std::fabs(expected[t])))
          << "row " << i << " token " << t;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Parity,
                         testing::Values(Case{"gpt2", true}, Case{"llama", true}, Case{"smollm", true},
                                         Case{"llama3", true}, Case{"qwen2", true}, Case{"qwen3", true},
                                         Case{"gpt2", false}, Case{"llama", false}, Case{"smollm", false},
                                         Case{"llama3", false}, Case{"qwen2", false}, Case{"qwen3", false}),
                         [](const auto& info) {
                           return info.param.family + (info.param.reduced ? "Reduced" : "Whole");
                         });

}  // namespace
}  // namespace prospect::test
