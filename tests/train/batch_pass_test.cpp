#include "train/batch_pass.h"

#include <gtest/gtest.h>

#include "model/initialise.h"
#include "tests/support/near.h"
#include "tests/support/random.h"

namespace prospect::test {
namespace {

ModelConfig small_config() {
  return {.vocab_size = 50,
          .hidden_size = 16,
          .layers = 2,
          .heads = 2,
          .kv_heads = 2,
          .head_dim = 8,
          .intermediate_size = 32,
          .max_positions = 64};
}

/// Rows of 2 to 9 prompt and 1 to 13 completion tokens; two share a prompt, two a completion.
std::vector<Example> rows_of(int64_t count) {
  std::vector<Example> examples;
  for (int64_t i = 0; i < count; ++i) {
    Example example;
    for (int64_t t = 0; t < 2 + i * 5 % 8; ++t)
      example.prompt.push_back(static_cast<int32_t>((i * 7 + t * 3) % 50));
    for (int64_t t = 0; t < 1 + i * 4 % 13; ++t)
      example.completion.push_back(static_cast<int32_t>((i * 11 + t * t) % 50));
    example.label = i % 3 != 0;
    example.row = i;
    example.line = i + 1;
    examples.push_back(example);
  }
  examples[1].prompt = examples[0].prompt;
  examples[3].completion = examples[2].completion;
  for (int64_t i = 0; i < count; ++i) {
    examples[static_cast<size_t>(i)].prompt_text = i == 1 ? 0 : i;
    examples[static_cast<size_t>(i)].completion_text = i == 3 ? 2 : i;
  }
  return examples;
}

/// All rows as one step.
StepPlan whole_batch(std::span<const Example> examples) {
  std::vector<TextKey> texts;
  for (const Example& example : examples) texts.push_back({example.prompt_text, example.completion_text});
  const int64_t count = std::ssize(texts);
  return BatchPlan(3, std::move(texts), count).step(0);
}

/// Computed anew each time.
ReferenceLogps computed_by(const Transformer& reference) {
  return [&](std::span<const Sequence> sequences) {
    return score_sequences(reference, sequences, 1 << 20).log_probabilities;
  };
}

struct Setting {
  int64_t micro_batch_tokens = 1 << 20;
  bool gradient_checkpointing = false;
};

struct Outcome {
  double loss, z0;
  std::vector<double> gradient;
};

/// One step in double: the policy has moved away from the reference by noise.
Outcome run(ObjectiveKind kind, const Setting& setting) {
  const LoadOptions load{.dtype = DType::F64, .trainable = true};
  const Model policy = random_model(small_config(), 1, load, Device::cpu());
  const Model reference = random_model(small_config(), 1, {.dtype = DType::F64}, Device::cpu());
  const Tensor noise = normal_tensor(policy.parameters.values().shape(), DType::F64, 4, 0.2);
  for (int64_t i = 0; i < noise.count(); ++i)
    policy.parameters.values().data<double>()[i] += noise.data<double>()[i];
  const auto examples = rows_of(11);
  const auto communicator = Communicator::local();
  const Transformer policy_transformer(policy), reference_transformer(reference);
  const bool lm = kind == ObjectiveKind::Lm;
  const BatchPass pass(
      policy_transformer, lm ? ReferenceLogps() : computed_by(reference_transformer), *communicator,
      {.objective = {.kind = kind, .beta = 0.3, .desirable_weight = 1.2, .undesirable_weight = 0.7},
       .max_length = 64,
       .micro_batch_tokens = setting.micro_batch_tokens,
       .gradient_checkpointing = setting.gradient_checkpointing,
       .dropout = true,
       .seed = 9});
  const StepRecord record = pass.train(examples, whole_batch(examples));
  return {record.loss(), record.groups[0].z0, to_doubles(policy.parameters.gradients())};
}

class BatchPassOf : public testing::TestWithParam<ObjectiveKind> {};

TEST_P(BatchPassOf, LossAndGradientDoNotDependOnTheSplit) {
  const Outcome whole = run(GetParam(), {});
  EXPECT_GT(relative_distance(whole.gradient, std::vector<double>(whole.gradient.size(), 1e-9)), 1);
  for (const Setting& setting : {Setting{.micro_batch_tokens = 1}, Setting{.micro_batch_tokens = 30},
                                 Setting{.micro_batch_tokens = 70}, Setting{.gradient_checkpointing = true},
                                 Setting{.micro_batch_tokens = 30, .gradient_checkpointing = true}}) {
    const Outcome split = run(GetParam(), setting);
    // Sums of a few thousand doubles in another order: some 1e3 * 2^-53 relative, well below 1e-12.
    EXPECT_NEAR(split.loss, whole.loss, 1e-12 * std::fabs(whole.loss));
    EXPECT_NEAR(split.z0, whole.z0, 1e-12 * std::max(1.0, whole.z0));
    EXPECT_LT(relative_distance(split.gradient, whole.gradient), 1e-12);
  }
}

INSTANTIATE_TEST_SUITE_P(Objectives, BatchPassOf,
                         testing::Values(ObjectiveKind::Kto, ObjectiveKind::KtoEdifice, ObjectiveKind::Lm));

/// The rows [begin, end) of a step as a step of their own.
StepPlan part_of(const StepPlan& plan, int64_t begin, int64_t end) {
  return {.examples = {plan.examples.begin() + begin, plan.examples.begin() + end},
          .partners = {plan.partners.begin() + begin, plan.partners.begin() + end},
          .groups = {0, end - begin}};
}

TEST(BatchPass, LossGroupsAreStepsOfTheirOwnAveraged) {
  const Model policy =
      random_model(small_config(), 2, {.dtype = DType::F64, .trainable = true}, Device::cpu());
  const Model reference = random_model(small_config(), 1, {.dtype = DType::F64}, Device::cpu());
  const Transformer policy_transformer(policy), reference_transformer(reference);
  const auto communicator = Communicator::local();
  const auto examples = rows_of(11);
  const StepPlan plan = BatchPlan::in_blocks(11, 12, 4).step(0);
  for (const int64_t tokens : {1 << 20, 40, 1}) {
    const BatchPass pass(policy_transformer, computed_by(reference_transformer), *communicator,
                         {.max_length = 64, .micro_batch_tokens = tokens});
    const StepRecord whole = pass.train(examples, plan);
    const auto gradient = to_doubles(policy.parameters.gradients());
    ASSERT_EQ(whole.groups.size(), 3u);
    std::vector<double> sum(gradient.size());
    double loss = 0;
    for (size_t g = 0; g < 3; ++g) {
      const StepRecord alone = pass.train(examples, part_of(plan, plan.groups[g], plan.groups[g + 1]));
      EXPECT_NEAR(alone.groups[0].z0, whole.groups[g].z0, 1e-12);
      EXPECT_EQ(alone.total()[Statistics::kTokens], whole.groups[g].statistics[Statistics::kTokens]);
      const auto part = to_doubles(policy.parameters.gradients());
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += part[i] / 3;
      loss += alone.loss() / 3;
    }
    EXPECT_NE(whole.groups[0].z0, whole.groups[1].z0);
    EXPECT_NEAR(whole.loss(), loss, 1e-12);
    EXPECT_LT(relative_distance(gradient, sum), 1e-12);
  }
}

TEST(BatchPass, StartsAtHalfTheMeanWeightWhenPolicyIsReference) {
  const Model model =
      random_model(small_config(), 1, {.dtype = DType::F64, .trainable = true}, Device::cpu());
  const Transformer transformer(model);
  const auto communicator = Communicator::local();
  const BatchPass pass(transformer, computed_by(transformer), *communicator,
                       {.objective = {.desirable_weight = 1.2, .undesirable_weight = 0.7}, .max_length = 64});
  const auto examples = rows_of(9);  // rows 0, 3 and 6 are undesirable
  const StepRecord record = pass.evaluate(examples, whole_batch(examples)).record;
  EXPECT_EQ(record.groups[0].z0, 0);
  EXPECT_NEAR(record.loss(), 0.5 * (6 * 1.2 + 3 * 0.7) / 9, 1e-15);
  EXPECT_EQ(record.total()[Statistics::kChosenRows], 6);
}

TEST(BatchPass, BatchWithoutPartnersHasZ0OfZero) {
  const Model policy =
      random_model(small_config(), 1, {.dtype = DType::F64, .trainable = true}, Device::cpu());
  const Model reference = random_model(small_config(), 2, {.dtype = DType::F64}, Device::cpu());
  const Transformer policy_transformer(policy), reference_transformer(reference);
  const auto communicator = Communicator::local();
  const BatchPass pass(policy_transformer, computed_by(reference_transformer), *communicator,
                       {.max_length = 64});
  const auto examples = rows_of(4);
  const auto one = std::span(examples).first(1);
  const StepRecord record = pass.evaluate(one, whole_batch(one)).record;
  EXPECT_EQ(record.groups[0].z0, 0);
  EXPECT_EQ(record.total()[Statistics::kKlCount], 0);
}

TEST(BatchPass, LabelsPushInOppositeDirections) {
  // A small step against the gradient raises rewards of desirable rows and lowers those of undesirable ones.
  const Model policy =
      random_model(small_config(), 1, {.dtype = DType::F64, .trainable = true}, Device::cpu());
  const Model reference = random_model(small_config(), 1, {.dtype = DType::F64}, Device::cpu());
  const Transformer policy_transformer(policy), reference_transformer(reference);
  const auto communicator = Communicator::local();
  const BatchPass pass(policy_transformer, computed_by(reference_transformer), *communicator,
                       {.max_length = 64});
  const auto examples = rows_of(10);
  pass.train(examples, whole_batch(examples));
  const Tensor values = policy.parameters.values(), gradients = policy.parameters.gradients();
  for (int64_t i = 0; i < values.count(); ++i) values.data<double>()[i] -= 0.5 * gradients.data<double>()[i];
  MetricsWindow window;
  window.add(pass.evaluate(examples, whole_batch(examples)).record);
  EXPECT_GT(find_metric(window.metrics(0.1), "rewards/margins", 0), 0);
}

/// The unsound rows of a batch of four after `spoil` had the policy and the examples.
std::vector<int64_t> unsound_rows(const std::function<void(Model&, std::vector<Example>&)>& spoil) {
  ModelConfig config = small_config();
  config.tied_head = false;  // else a spoiled embedding spoils every logit
  Model policy = random_model(config, 1, {.trainable = true}, Device::cpu());
  const Model reference = random_model(config, 1, {}, Device::cpu());
  const Transformer policy_transformer(policy), reference_transformer(reference);
  auto examples = rows_of(4);
  spoil(policy, examples);
  const auto communicator = Communicator::local();
  const BatchPass pass(policy_transformer, computed_by(reference_transformer), *communicator,
                       {.max_length = 64, .micro_batch_tokens = 16});
  const StepRecord record = pass.train(examples, whole_batch(examples));
  EXPECT_EQ(record.sound(), record.unsound.empty());
  EXPECT_EQ(record.total()[Statistics::kUnsound], record.sound() ? 0 : 4) << "all rows or none";
  return record.unsound;
}

TEST(BatchPass, NamesTheRowsWhoseLossIsNotFinite) {
  EXPECT_EQ(unsound_rows([](Model&, auto&) {}), std::vector<int64_t>{});
  EXPECT_EQ(unsound_rows([](Model& policy, auto&) {
              policy.parameters["final_norm.weight"].value().data<float>()[0] = std::nanf("");
            }),
            (std::vector<int64_t>{0, 1, 2, 3}));
}

TEST(BatchPass, ARowThatSpoilsZ0SpoilsItsGroupAndIsNamedWithThePartnerOfItsPair) {
  // Only the prompt of row 2 holds the token, so the pair of that prompt is not finite either.
  const StepPlan plan = whole_batch(rows_of(4));
  const auto place = std::find(plan.examples.begin(), plan.examples.end(), 2) - plan.examples.begin();
  std::vector<int64_t> expected{2, plan.partners[static_cast<size_t>(place)]};
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(unsound_rows([](Model& policy, std::vector<Example>& examples) {
              const Tensor table = policy.parameters["embedding.tokens.weight"].value();
              const int64_t token = table.size(0) - 1;
              for (const Example& example : examples) {
                EXPECT_EQ(std::count(example.prompt.begin(), example.prompt.end(), token), 0);
                EXPECT_EQ(std::count(example.completion.begin(), example.completion.end(), token), 0);
              }
              examples[2].prompt.back() = static_cast<int32_t>(token);
              table.rows(token, token + 1).data<float>()[0] = std::nanf("");
            }),
            expected);
}

}  // namespace
}  // namespace prospect::test
