#include "train/edifice.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/gradient_check.h"
#include "tests/support/near.h"
#include "tests/support/random.h"

// The first part holds the cases that Edifice tests itself, under its descriptions; the second what it leaves
// open: values, gradients, direction.
namespace prospect::test {
namespace {

constexpr int64_t kBatch = 4, kPositions = 8, kVocabulary = 16;

Tensor doubles(const std::vector<double>& values) {
  return Tensor::from(values, Device::cpu());
}
Tensor integers(const std::vector<int32_t>& values) {
  return Tensor::from(values, Device::cpu());
}

double loss_of(const std::vector<double>& policy, const std::vector<double>& reference,
               const std::vector<int32_t>& labels, const edifice::LossOptions& options = {}) {
  const Variable loss =
      edifice::kto_loss(Variable(doubles(policy)), doubles(reference), integers(labels), options);
  return loss.value().data<double>()[0];
}

const std::vector<double> kPolicy{-1.0, -2.0, -1.5, -0.5}, kReference{-1.2, -1.8, -1.6, -0.8};
const std::vector<int32_t> kLabels{1, 0, 1, 0};
const std::vector<double> kOtherPolicy{-1.0, -0.9, -1.1, -0.8}, kOnes{-1.0, -1.0, -1.0, -1.0};

Model small_model() {
  return edifice::build(
      {.hidden_size = 16, .num_layers = 2, .num_heads = 2, .vocab_size = kVocabulary, .dropout = 0});
}

Variable small_logits(const Model& model) {
  const std::vector<int32_t> ones(kBatch * kPositions, 1);
  return edifice::logits(model, Tensor::from(ones, {kBatch, kPositions}, Device::cpu()));
}

TEST(EdificeBuild, ReturnsAModel) {
  EXPECT_GT(small_model().parameters.count(), 0);
}

TEST(EdificeBuild, OutputHasOneLogitPerTokenOfTheVocabulary) {
  EXPECT_EQ(small_logits(small_model()).shape(), (Shape{kBatch, kPositions, kVocabulary}));
}

TEST(EdificeBuild, OutputIsFinite) {
  for (const double value : to_doubles(small_logits(small_model()).value()))
    ASSERT_TRUE(std::isfinite(value));
}

TEST(EdificeLoss, ReturnsAScalar) {
  const Variable loss = edifice::kto_loss(Variable(doubles(kPolicy)), doubles(kReference), integers(kLabels));
  EXPECT_EQ(loss.value().count(), 1);
}

TEST(EdificeLoss, IsFinite) {
  EXPECT_TRUE(std::isfinite(loss_of(kPolicy, kReference, kLabels)));
}

TEST(EdificeLoss, AllDesirableIsBoundedByTheWeight) {
  const double loss = loss_of(kOtherPolicy, kOnes, {1, 1, 1, 1});
  EXPECT_GT(loss, -1);
  EXPECT_LT(loss, 0);
}

TEST(EdificeLoss, AllUndesirableIsBoundedByTheWeight) {
  const double loss = loss_of(kOtherPolicy, kOnes, {0, 0, 0, 0});
  EXPECT_GT(loss, -1);
  EXPECT_LT(loss, 0);
}

TEST(EdificeLoss, DesirableWeightScalesDesirableLoss) {
  const double once = loss_of({-1.0, -0.8}, {-1, -1}, {1, 1}, {.desirable_weight = 1});
  const double twice = loss_of({-1.0, -0.8}, {-1, -1}, {1, 1}, {.desirable_weight = 2});
  EXPECT_NEAR(twice, 2 * once, 1e-15);
}

TEST(EdificeLoss, UndesirableWeightScalesUndesirableLoss) {
  const double once = loss_of({-1.0, -0.8}, {-1, -1}, {0, 0}, {.undesirable_weight = 1});
  const double twice = loss_of({-1.0, -0.8}, {-1, -1}, {0, 0}, {.undesirable_weight = 2});
  EXPECT_NEAR(twice, 2 * once, 1e-15);
}

TEST(EdificeLoss, BetaScalesTheContribution) {
  const double low = loss_of({-0.5, -1.5}, {-1, -1}, {1, 0}, {.beta = 0.01});
  const double high = loss_of({-0.5, -1.5}, {-1, -1}, {1, 0}, {.beta = 100});
  EXPECT_GT(std::fabs(low - high), 0.01);
  // sigma(0.005) to five digits, and a saturated sigmoid.
  EXPECT_NEAR(low, -0.50125, 1e-8);
  EXPECT_NEAR(high, -1, 1e-15);
}

Variable uniform_logprobs(const Tensor& mask) {
  const Tensor logits = Tensor::zeros({kBatch, kPositions, kVocabulary}, DType::F32, Device::cpu());
  const Tensor targets = Tensor::zeros({kBatch, kPositions}, DType::I32, Device::cpu());
  return edifice::compute_logprobs(Variable(logits), targets, mask);
}

Tensor mask_of(int64_t kept) {
  std::vector<int32_t> mask(kBatch * kPositions);
  for (int64_t i = 0; i < kBatch * kPositions; ++i) mask[i] = i % kPositions < kept;
  return Tensor::from(mask, {kBatch, kPositions}, Device::cpu());
}

TEST(EdificeLogprobs, ReturnsOneNumberPerSequence) {
  EXPECT_EQ(uniform_logprobs({}).shape(), Shape{kBatch});
}

TEST(EdificeLogprobs, MaskingRemovesPaddedPositions) {
  const auto full = to_doubles(uniform_logprobs(mask_of(kPositions)).value());
  const auto half = to_doubles(uniform_logprobs(mask_of(kPositions / 2)).value());
  for (int64_t b = 0; b < kBatch; ++b) {
    EXPECT_LT(full[b], half[b]);
    EXPECT_NEAR(full[b], -kPositions * std::log(kVocabulary), 1e-5);
    EXPECT_NEAR(half[b], -kPositions / 2 * std::log(kVocabulary), 1e-5);
  }
  EXPECT_EQ(to_doubles(uniform_logprobs({}).value()), full);
}

TEST(Edifice, DefaultBetaIsOneTenth) {
  EXPECT_EQ(edifice::default_beta(), 0.1);
  EXPECT_EQ(edifice::LossOptions{}.beta, 0.1);
}

TEST(EdificeLoss, HasThePublishedValues) {
  EXPECT_NEAR(loss_of(kPolicy, kReference, kLabels), -0.5012498958443738, 1e-15);
  EXPECT_NEAR(loss_of(kPolicy, kReference, kLabels, {.beta = 1}), -0.5123969267445303, 1e-15);
}

TEST(EdificeLoss, GradientFlowsThroughTheMean) {
  const auto loss = [](std::span<const Variable> in) {
    return edifice::kto_loss(in[0], doubles(kReference), integers(kLabels),
                             {.beta = 1, .desirable_weight = 1.5, .undesirable_weight = 0.5});
  };
  check_gradients(loss, {doubles(kPolicy)});
  const auto policy = Variable::parameter(doubles(kPolicy));
  backward(loss({&policy, 1}));
  double sum = 0;
  for (const double value : policy.grad().values<double>()) sum += value;
  EXPECT_NEAR(sum, 0, 1e-16);
}

TEST(EdificeLoss, ASingleSequenceHasNoGradient) {
  const auto policy = Variable::parameter(doubles({-3}));
  const Variable loss = edifice::kto_loss(policy, doubles({-1}), integers({1}), {.desirable_weight = 1.5});
  EXPECT_EQ(loss.value().data<double>()[0], -0.75);
  backward(loss);
  EXPECT_EQ(policy.grad().data<double>()[0], 0);
}

TEST(EdificeLoss, LabelsPushLogprobsInOppositeDirections) {
  const auto policy = Variable::parameter(doubles({-1, -1}));
  backward(edifice::kto_loss(policy, doubles({-1, -1}), integers({1, 0})));
  EXPECT_LT(policy.grad().data<double>()[0], 0);
  EXPECT_GT(policy.grad().data<double>()[1], 0);
}

TEST(EdificeLoss, SinglePrecisionAgreesWithDouble) {
  const auto single = [](const std::vector<double>& values) { return convert(doubles(values), DType::F32); };
  const auto policy = Variable::parameter(single(kPolicy));
  const Variable loss = edifice::kto_loss(policy, single(kReference), integers(kLabels), {.beta = 1});
  backward(loss);
  // Inputs of at most 2 and their difference are rounded; the loss moves by at most a quarter of that.
  EXPECT_NEAR(loss.value().data<double>()[0], -0.5123969267445303, 3 * unit_roundoff(DType::F32));
  EXPECT_TRUE(near(policy.grad(),
                   {-0.061881437811330108, 0.061577150159579352, -0.062037427763107115, 0.062341715414857871},
                   3 * unit_roundoff(DType::F32)));
}

TEST(EdificeLogprobs, GradientMatchesFiniteDifferences) {
  const Tensor targets = Tensor::from(std::vector<int32_t>{1, 4, 0, 2, -100, 3}, {2, 3}, Device::cpu());
  const Tensor mask = Tensor::from(std::vector<int32_t>{1, 1, 0, 1, 0, 1}, {2, 3}, Device::cpu());
  check_gradients([&](auto in) { return edifice::compute_logprobs(in[0], targets, mask); },
                  {normal_tensor({2, 3, 5}, DType::F64, 1)});
}

TEST(EdificeLogprobs, TrainsThroughTheLoss) {
  const Tensor targets = Tensor::from(std::vector<int32_t>{1, 4, 0, 2, 2, 3}, {3, 2}, Device::cpu());
  check_gradients(
      [&](auto in) {
        const Variable policy = edifice::compute_logprobs(in[0], targets);
        return edifice::kto_loss(policy, doubles({-3, -2, -4}), integers({1, 0, 1}), {.beta = 0.5});
      },
      {normal_tensor({3, 2, 5}, DType::F64, 2)});
}

TEST(EdificeBuild, HasTheDefaultsOfItsOptions) {
  const edifice::BuildOptions options;
  EXPECT_EQ(options.hidden_size, 512);
  EXPECT_EQ(options.num_layers, 6);
  EXPECT_EQ(options.num_heads, 8);
  EXPECT_EQ(options.vocab_size, 32000);
  EXPECT_EQ(options.dropout, 0.1);
  EXPECT_EQ(options.max_seq_len, 2048);
}

TEST(EdificeBuild, RefusesHeadsThatDoNotDivideTheHiddenSize) {
  EXPECT_THROW(edifice::build({.hidden_size = 16, .num_heads = 3}), Error);
}

TEST(EdificeBuild, AStepAgainstTheGradientLowersTheLoss) {
  const Model model = small_model();
  std::vector<int32_t> ids(kBatch * kPositions);
  for (size_t i = 0; i < ids.size(); ++i)
    ids[i] = static_cast<int32_t>((i * i + 3 * (i / kPositions)) % kVocabulary);
  const Tensor tokens = Tensor::from(ids, {kBatch, kPositions}, Device::cpu());
  const Tensor reference = Tensor::zeros({kBatch}, DType::F32, Device::cpu());
  const auto loss = [&] {
    const Variable policy = edifice::compute_logprobs(edifice::logits(model, tokens), tokens, mask_of(6));
    return edifice::kto_loss(policy, reference, integers({1, 0, 1, 1}), {.beta = 1});
  };
  const Variable before = loss();
  backward(before);
  model.parameters.complete_gradients();
  const auto gradients = model.parameters.gradients().values<float>();
  const auto weights = model.parameters.values().values<float>();
  double squares = 0;
  for (const float gradient : gradients) squares += gradient * gradient;
  const double step = 1e-3 / squares;
  for (size_t i = 0; i < weights.size(); ++i) weights[i] -= static_cast<float>(step * gradients[i]);
  // To first order the loss falls by 1e-3; the second order is a few per cent of it.
  const double fall = before.value().data<double>()[0] - loss().value().data<double>()[0];
  EXPECT_NEAR(fall, 1e-3, 1e-4);
}

TEST(EdificeLogprobs, NamesWhatItExpected) {
  const Variable logits(normal_tensor({2, 3, 5}, DType::F32, 1));
  try {
    edifice::compute_logprobs(logits, integers({1, 2}));
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "compute_logprobs: targets must be [2, 3] i32, got [2] i32");
  }
}

}  // namespace
}  // namespace prospect::test
