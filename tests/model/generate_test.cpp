#include "model/generate.h"

#include <gtest/gtest.h>

#include <fstream>

#include <nlohmann/json.hpp>

#include "kernels/common/philox.h"

namespace prospect::test {
namespace {

const std::filesystem::path kGolden = std::filesystem::path(PROSPECT_SOURCE_DIR) / "tests/golden";

class GreedyGeneration : public testing::TestWithParam<const char*> {};

TEST_P(GreedyGeneration, EqualsTransformers) {
  const auto golden = nlohmann::json::parse(std::ifstream(kGolden / "generate/greedy.json")).at(GetParam());
  const Model model = load_model(kGolden / "parity" / GetParam(), {}, Device::cpu());
  std::vector<std::vector<int32_t>> prompts, expected;
  for (const auto& entry : golden) {
    prompts.push_back(entry.at("prompt"));
    expected.push_back(entry.at("continuation"));
  }
  const Transformer transformer(model);
  EXPECT_EQ(generate(transformer, prompts, {.max_new_tokens = 24, .temperature = 0}), expected);
  EXPECT_EQ(generate(transformer, {prompts[3]}, {.max_new_tokens = 24, .temperature = 0}).front(),
            expected[3]);
}

INSTANTIATE_TEST_SUITE_P(Families, GreedyGeneration,
                         testing::Values("gpt2", "llama", "smollm", "llama3", "qwen2", "qwen3"));

double share_of(int32_t token, const std::vector<float>& logits, const SamplingOptions& options) {
  int hits = 0;
  constexpr int kDraws = 20000;
  for (uint32_t i = 0; i < kDraws; ++i) {
    const double uniform = unit_interval(philox({i, 0, 0, 0}, 1)[0]);
    hits += sample_token(logits, options, uniform) == token ? 1 : 0;
  }
  return static_cast<double>(hits) / kDraws;
}

TEST(SampleToken, DrawsBySoftmaxOfLogitsOverTemperature) {
  const std::vector<float> logits{1, 3, 2};
  // Probabilities e^{x/T} / sum; five standard deviations of 20000 draws are at most 0.018.
  EXPECT_NEAR(share_of(1, logits, {.temperature = 1}), 0.6652, 0.018);
  EXPECT_NEAR(share_of(1, logits, {.temperature = 0.5}), 0.8668, 0.018);
  EXPECT_NEAR(share_of(0, logits, {.temperature = 1}), 0.0900, 0.018);
}

TEST(SampleToken, TopKAndTopPKeepTheLikeliest) {
  const std::vector<float> logits{1, 3, 2};
  EXPECT_EQ(share_of(0, logits, {.top_k = 2}), 0);
  EXPECT_NEAR(share_of(1, logits, {.top_k = 2}), 0.7311, 0.018);
  EXPECT_EQ(share_of(1, logits, {.top_p = 0.6}), 1);  // 0.665 alone reaches 0.6
  EXPECT_EQ(share_of(0, logits, {.top_p = 0.9}), 0);  // 0.665 + 0.245 reach 0.9
}

TEST(SampleToken, NeverDrawsPaddingOfTheVocabulary) {
  const std::vector<float> logits{1, 3, 9};
  EXPECT_EQ(sample_token(logits, {.temperature = 0, .token_limit = 2}, 0.5), 1);
  EXPECT_EQ(share_of(2, logits, {.token_limit = 2}), 0);
}

TEST(Generate, DependsOnSeedAndIndexNotOnNeighbours) {
  const Model model = load_model(kGolden / "parity/llama", {}, Device::cpu());
  const Transformer transformer(model);
  const std::vector<int32_t> a{0, 17, 30}, b{0, 99};
  const SamplingOptions options{.max_new_tokens = 12, .seed = 5};
  const auto both = generate(transformer, {a, b}, options);
  EXPECT_EQ(generate(transformer, {b}, options, 1).front(), both[1]);
  EXPECT_NE(generate(transformer, {a}, {.max_new_tokens = 12, .seed = 6}).front(), both[0]);
}

TEST(Generate, StopsAtLogitsThatAreNotFinite) {
  const Model model = load_model(kGolden / "parity/llama", {}, Device::cpu());
  model.parameters["final_norm.weight"].value().data<float>()[0] = std::nanf("");
  EXPECT_THROW(generate(Transformer(model), {{3}}, {.max_new_tokens = 2}), Error);
}

TEST(Generate, RefusesPromptsThatCannotBeContinued) {
  const Model model = load_model(kGolden / "parity/llama", {}, Device::cpu());
  EXPECT_THROW(generate(Transformer(model), {{}}, {}), Error);
  EXPECT_THROW(generate(Transformer(model), {std::vector<int32_t>(500, 3)}, {.max_new_tokens = 13}), Error);
}

}  // namespace
}  // namespace prospect::test
