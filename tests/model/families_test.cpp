#include <gtest/gtest.h>

#include <fstream>
#include <numbers>

#include <nlohmann/json.hpp>

#include "model/generate.h"
#include "model/rope.h"

namespace prospect::test {
namespace {

const std::filesystem::path kGolden = std::filesystem::path(PROSPECT_SOURCE_DIR) / "tests/golden/families";

std::vector<double> log_probabilities(const Transformer& transformer, const std::vector<int32_t>& ids) {
  const auto count = static_cast<int32_t>(ids.size());
  std::vector<int32_t> positions(ids.size());
  for (size_t t = 0; t < ids.size(); ++t) positions[t] = static_cast<int32_t>(t);
  const Device device = Device::cpu();
  const PackedTokens tokens{Tensor::from(ids, device), Tensor::from(positions, device),
                            Tensor::from(std::vector<int32_t>{0, count, 0, count}, {1, 4}, device),
                            Tensor::zeros({count}, DType::I32, device)};
  const NoGrad off;
  const std::vector<int32_t> targets(ids.begin() + 1, ids.end());
  const HeadInputs inputs{.targets = Tensor::from(targets, device),
                          .offsets = Tensor::from(std::vector<int32_t>{0, count - 1}, device),
                          .host_offsets = {0, count - 1}};
  const Variable hidden = transformer.hidden(tokens);
  const Variable rows(hidden.value().rows(0, count - 1));
  return to_doubles(head(rows, transformer.head_weight(), inputs).log_probabilities);
}

class WindowedModel : public testing::TestWithParam<const char*> {
 protected:
  WindowedModel()
      : model(load_model(kGolden / GetParam(), {}, Device::cpu())),
        expected(nlohmann::json::parse(std::ifstream(kGolden / GetParam() / "expected.json"))) {}
  const Model model;
  const nlohmann::json expected;
};

TEST_P(WindowedModel, GivesTheLogProbabilitiesOfTransformers) {
  for (const auto& row : expected) {
    const auto ids = row.at("ids").get<std::vector<int32_t>>();
    const auto actual = log_probabilities(Transformer(model), ids);
    const auto logps = row.at("logps").get<std::vector<double>>();
    ASSERT_EQ(actual.size(), logps.size());
    for (size_t t = 0; t < logps.size(); ++t) {
      // Both sides are fp32 networks; logits of size 10 carry about ten roundings of 6e-7 each.
      EXPECT_NEAR(actual[t], logps[t], 1e-5 * std::max(1.0, std::fabs(logps[t]))) << "token " << t;
    }
  }
}

TEST_P(WindowedModel, WritesTheGreedyContinuationsOfTransformers) {
  std::vector<std::vector<int32_t>> prompts, greedy;
  for (const auto& row : expected) {
    const auto ids = row.at("ids").get<std::vector<int32_t>>();
    prompts.emplace_back(ids.begin(), ids.begin() + 5);
    greedy.push_back(row.at("greedy"));
  }
  EXPECT_EQ(generate(Transformer(model), prompts, {.max_new_tokens = 12, .temperature = 0}), greedy);
}

TEST_P(WindowedModel, WouldAnswerOtherwiseWithoutItsWindow) {
  Model open = load_model(kGolden / GetParam(), {}, Device::cpu());
  open.config.window = 0;
  const auto ids = expected[1].at("ids").get<std::vector<int32_t>>();
  const auto seen = log_probabilities(Transformer(model), ids),
             all = log_probabilities(Transformer(open), ids);
  EXPECT_EQ(std::vector<double>(seen.begin(), seen.begin() + 4),
            std::vector<double>(all.begin(), all.begin() + 4));
  for (size_t t = 4; t < all.size(); ++t) EXPECT_GT(std::fabs(seen[t] - all[t]), 1e-4) << "token " << t;
}

INSTANTIATE_TEST_SUITE_P(Families, WindowedModel, testing::Values("mistral", "qwen2", "qwen3"));

TEST(RopeFrequencies, Llama3StretchesLongWavelengthsOnly) {
  ModelConfig config{.head_dim = 64, .rope_theta = 500000};
  const std::vector<double> plain = rope_frequencies(config);
  config.llama3_rope = Llama3Rope{.factor = 32};
  const std::vector<double> stretched = rope_frequencies(config);
  ASSERT_EQ(stretched.size(), 32u);
  int kept = 0, divided = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    const double wavelength = 2 * std::numbers::pi / plain[i];
    if (wavelength < 8192.0 / 4) {
      EXPECT_EQ(stretched[i], plain[i]);
      ++kept;
    } else if (wavelength > 8192) {
      EXPECT_DOUBLE_EQ(stretched[i], plain[i] / 32);
      ++divided;
    } else {
      EXPECT_GT(stretched[i], plain[i] / 32);
      EXPECT_LT(stretched[i], plain[i]);
    }
  }
  EXPECT_EQ(kept, 15);
  EXPECT_EQ(divided, 14);
}

}  // namespace
}  // namespace prospect::test
