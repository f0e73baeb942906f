#include "kernels/log_softmax_gather/log_softmax_gather.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/near.h"
#include "tests/support/random.h"

namespace prospect::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class C>
struct Statistics {
  std::vector<C> log_probabilities, log_sum_exp, entropies, logit_means;
};

template <class C>
Statistics<C> forward(const std::vector<C>& logits, const std::vector<int32_t>& targets) {
  const size_t rows = targets.size();
  Statistics<C> out{std::vector<C>(rows), std::vector<C>(rows), std::vector<C>(rows), std::vector<C>(rows)};
  kernels::cpu::log_softmax_gather_forward<C>({.log_probabilities = out.log_probabilities.data(),
                                               .log_sum_exp = out.log_sum_exp.data(),
                                               .entropies = out.entropies.data(),
                                               .logit_means = out.logit_means.data(),
                                               .logits = logits.data(),
                                               .targets = targets.data(),
                                               .rows = std::ssize(targets),
                                               .columns = std::ssize(logits) / std::ssize(targets),
                                               .stride = std::ssize(logits) / std::ssize(targets)});
  return out;
}

template <class T, class C>
std::vector<double> backward(std::vector<C> logits, const std::vector<int32_t>& targets,
                             const std::vector<C>& slopes) {
  const std::vector<C> log_sum_exp = forward(logits, targets).log_sum_exp;
  std::vector<T> apart(logits.size());
  T* gradient = apart.data();
  if constexpr (std::is_same_v<T, C>) gradient = logits.data();
  kernels::cpu::log_softmax_gather_backward<T>({.gradient = gradient,
                                                .logits = logits.data(),
                                                .log_sum_exp = log_sum_exp.data(),
                                                .row_slopes = slopes.data(),
                                                .targets = targets.data(),
                                                .rows = std::ssize(targets),
                                                .columns = std::ssize(logits) / std::ssize(targets),
                                                .stride = std::ssize(logits) / std::ssize(targets)});
  std::vector<double> values;
  for (size_t i = 0; i < logits.size(); ++i) values.push_back(static_cast<double>(load(gradient[i])));
  return values;
}

template <class C>
std::vector<C> random_logits(int64_t count, double deviation) {
  const auto values = normal(count, 7, deviation);
  return {values.begin(), values.end()};
}

/// The definition, with the exponentials summed in long double.
struct Plain {
  long double log_probability, entropy, mean;
};
template <class C>
Plain plain(const std::vector<C>& logits, size_t row, size_t columns, int32_t target) {
  long double largest = -kInfinity, sum = 0, mean = 0, entropy = 0;
  const C* x = logits.data() + row * columns;
  for (size_t c = 0; c < columns; ++c) largest = std::max<long double>(largest, x[c]);
  for (size_t c = 0; c < columns; ++c) sum += std::exp(x[c] - largest);
  for (size_t c = 0; c < columns; ++c) {
    const long double log_p = x[c] - largest - std::log(sum);
    entropy -= std::exp(log_p) * log_p;
    mean += x[c] / static_cast<long double>(columns);
  }
  return {x[target] - largest - std::log(sum), entropy, mean};
}

template <class C>
void expect_definition(double tolerance) {
  const std::vector<int32_t> targets{0, 4999, 77};
  const auto logits = random_logits<C>(3 * 5000, 4);
  const Statistics<C> actual = forward(logits, targets);
  for (size_t row = 0; row < 3; ++row) {
    const Plain expected = plain(logits, row, 5000, targets[row]);
    EXPECT_NEAR(actual.log_probabilities[row], expected.log_probability, 30 * tolerance);
    EXPECT_NEAR(actual.entropies[row], expected.entropy, 30 * tolerance);
    EXPECT_NEAR(actual.logit_means[row], expected.mean, 30 * tolerance);
  }
}

TEST(LogSoftmaxGather, FollowsItsDefinition) {
  // Results of up to 30 in size are rounded once. A block's sum of 2048 positive terms in 8 lanes or more
  // takes at most 256 additions in sequence; exponentials err by a few units.
  expect_definition<double>(300 * unit_roundoff(DType::F64));
  expect_definition<float>(20 * unit_roundoff(DType::F32));
}

TEST(LogSoftmaxGather, EqualLogitsGiveTheUniformDistribution) {
  const Statistics<double> out = forward(std::vector<double>(16, 3.0), {5});
  EXPECT_NEAR(out.log_probabilities[0], -std::log(16), 1e-14);
  EXPECT_NEAR(out.log_sum_exp[0], 3 + std::log(16), 1e-14);
  EXPECT_NEAR(out.entropies[0], std::log(16), 1e-14);
  EXPECT_NEAR(out.logit_means[0], 3, 1e-14);
}

TEST(LogSoftmaxGather, GradientMatchesFiniteDifferences) {
  const std::vector<int32_t> targets{2, 0};
  const std::vector<double> slopes{0.3, -1.7};
  auto logits = random_logits<double>(2 * 9, 1);
  const auto gradient = backward<double>(logits, targets, slopes);
  constexpr double step = 1e-5;
  for (size_t i = 0; i < logits.size(); ++i) {
    const size_t row = i / 9;
    const double kept = logits[i];
    logits[i] = kept + step;
    const double above = forward(logits, targets).log_probabilities[row];
    logits[i] = kept - step;
    const double below = forward(logits, targets).log_probabilities[row];
    logits[i] = kept;
    EXPECT_NEAR(gradient[i], slopes[row] * (above - below) / (2 * step), 1e-9);
  }
}

TEST(LogSoftmaxGather, OtherTypesOfGradientAgreeWithDouble) {
  const std::vector<int32_t> targets{2, 0};
  const auto logits = random_logits<double>(2 * 1000, 3);
  const auto expected = backward<double>(logits, targets, std::vector<double>{0.3, -1.7});
  const std::vector<float> rounded(logits.begin(), logits.end()), slopes{0.3f, -1.7f};
  const auto single = backward<float>(rounded, targets, slopes);
  const auto half = backward<bf16>(rounded, targets, slopes);
  for (size_t i = 0; i < expected.size(); ++i) {
    // Logits and log-sum-exp of up to 20 are rounded, and so is their difference: p errs by 3 * 20 units.
    const double single_error = 1.7 * 64 * unit_roundoff(DType::F32);
    EXPECT_NEAR(single[i], expected[i], single_error);
    EXPECT_NEAR(half[i], expected[i], single_error + std::fabs(expected[i]) * unit_roundoff(DType::BF16));
  }
}

TEST(LogSoftmaxGather, MaskedLogitsHaveProbabilityZero) {
  std::vector<double> logits{1, -kInfinity, 2, -kInfinity};
  const Statistics<double> two = forward(std::vector<double>{1, 2}, {0});
  const Statistics<double> out = forward(logits, {0});
  EXPECT_DOUBLE_EQ(out.log_probabilities[0], two.log_probabilities[0]);
  EXPECT_DOUBLE_EQ(out.entropies[0], two.entropies[0]);
  EXPECT_EQ(out.logit_means[0], -kInfinity);
  const auto gradient = backward<double>(logits, {0}, std::vector<double>{1});
  EXPECT_EQ(gradient[1], 0);
  EXPECT_EQ(gradient[3], 0);
  EXPECT_NEAR(gradient[0] + gradient[2], 0, 1e-15);
}

TEST(LogSoftmaxGather, AMaskedTargetHasAFiniteGradient) {
  const std::vector<float> logits{1, static_cast<float>(-kInfinity), 2};
  EXPECT_EQ(forward(logits, {1}).log_probabilities[0], -kInfinity);
  const auto gradient = backward<float>(logits, {1}, std::vector<float>{-2});
  EXPECT_EQ(gradient[1], -2);
  EXPECT_NEAR(gradient[0] + gradient[2], 2, 1e-6);
}

TEST(LogSoftmaxGather, KeepsTheDigitsOfALargeSpread) {
  // 1 + 4e-9 is 1 in float, which costs up to half a unit of 1; nothing is lost to the size of the logits.
  const std::vector<float> logits{1000, 980, 980};
  const Statistics<float> out = forward(logits, {0});
  EXPECT_NEAR(out.log_probabilities[0], -2 * std::exp(-20.0), 0x1p-24);
  EXPECT_NEAR(out.entropies[0], 2 * std::exp(-20.0) * 21, 0x1p-24);
  const Statistics<float> far = forward(std::vector<float>{3e38f, -3e38f}, {1});
  EXPECT_EQ(far.log_probabilities[0], -std::numeric_limits<float>::infinity());
  EXPECT_EQ(far.entropies[0], 0);
}

TEST(LogSoftmaxGather, LetsNotANumberThrough) {
  std::vector<float> logits(4000, 0.5f);
  logits[3000] = std::numeric_limits<float>::quiet_NaN();
  const Statistics<float> out = forward(logits, {0});
  EXPECT_TRUE(std::isnan(out.log_probabilities[0]));
  EXPECT_TRUE(std::isnan(out.log_sum_exp[0]));
  EXPECT_TRUE(std::isnan(out.entropies[0]));
  EXPECT_TRUE(std::isnan(backward<float>(logits, {0}, std::vector<float>{1})[5]));
}

TEST(LogSoftmaxGather, RefusesATargetOutsideTheVocabulary) {
  EXPECT_THROW(forward(std::vector<float>(8, 0.0f), {8}), Error);
  EXPECT_THROW(forward(std::vector<float>(8, 0.0f), {-1}), Error);
}

}  // namespace
}  // namespace prospect::test
