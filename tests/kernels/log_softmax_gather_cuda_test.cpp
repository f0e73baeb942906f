#include <limits>
#include <type_traits>

#include "kernels/log_softmax_gather/log_softmax_gather.h"
#include "tests/support/device_case.h"

namespace prospect::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

template <class C>
struct Statistics {
  std::vector<C> log_probabilities, log_sum_exp, entropies, logit_means;
};

Statistics<double> forward_cpu(const std::vector<float>& logits, const std::vector<int32_t>& targets) {
  const size_t rows = targets.size();
  const auto x = doubles(logits);
  Statistics<double> out{std::vector<double>(rows), std::vector<double>(rows), std::vector<double>(rows),
                         std::vector<double>(rows)};
  kernels::cpu::log_softmax_gather_forward<double>({.log_probabilities = out.log_probabilities.data(),
                                                    .log_sum_exp = out.log_sum_exp.data(),
                                                    .entropies = out.entropies.data(),
                                                    .logit_means = out.logit_means.data(),
                                                    .logits = x.data(),
                                                    .targets = targets.data(),
                                                    .rows = std::ssize(targets),
                                                    .columns = std::ssize(logits) / std::ssize(targets),
                                                    .stride = std::ssize(logits) / std::ssize(targets)});
  return out;
}

Statistics<float> forward_cuda(const std::vector<float>& logits, const std::vector<int32_t>& targets,
                               size_t skip = 0) {
  const size_t rows = targets.size();
  DeviceBuffer<float> x(logits, skip), log_probabilities(rows), log_sum_exp(rows), entropies(rows),
      means(rows);
  DeviceBuffer<int32_t> device_targets(targets);
  kernels::cuda::log_softmax_gather_forward({.log_probabilities = log_probabilities.data(),
                                             .log_sum_exp = log_sum_exp.data(),
                                             .entropies = entropies.data(),
                                             .logit_means = means.data(),
                                             .logits = x.data(),
                                             .targets = device_targets.data(),
                                             .rows = std::ssize(targets),
                                             .columns = std::ssize(logits) / std::ssize(targets),
                                             .stride = std::ssize(logits) / std::ssize(targets)},
                                            nullptr);
  return {log_probabilities.values(), log_sum_exp.values(), entropies.values(), means.values()};
}

std::vector<double> backward_cpu(const std::vector<float>& logits, const std::vector<int32_t>& targets,
                                 const std::vector<float>& slopes) {
  const auto x = doubles(logits), log_sum_exp = forward_cpu(logits, targets).log_sum_exp,
             row_slopes = doubles(slopes);
  std::vector<double> gradient(x.size());
  kernels::cpu::log_softmax_gather_backward<double>({.gradient = gradient.data(),
                                                     .logits = x.data(),
                                                     .log_sum_exp = log_sum_exp.data(),
                                                     .row_slopes = row_slopes.data(),
                                                     .targets = targets.data(),
                                                     .rows = std::ssize(targets),
                                                     .columns = std::ssize(logits) / std::ssize(targets),
                                                     .stride = std::ssize(logits) / std::ssize(targets)});
  return gradient;
}

/// In place in float; bf16 gradients begin `gradient_skip` elements behind an aligned place.
template <class T>
std::vector<T> backward_cuda(const std::vector<float>& logits, const std::vector<int32_t>& targets,
                             const std::vector<float>& slopes, size_t skip = 0, size_t gradient_skip = 0) {
  DeviceBuffer<float> x(logits, skip), log_sum_exp(forward_cuda(logits, targets).log_sum_exp),
      row_slopes(slopes);
  DeviceBuffer<T> apart(logits.size(), gradient_skip);
  DeviceBuffer<int32_t> device_targets(targets);
  const auto run = [&](T* gradient) {
    kernels::cuda::log_softmax_gather_backward<T>({.gradient = gradient,
                                                   .logits = x.data(),
                                                   .log_sum_exp = log_sum_exp.data(),
                                                   .row_slopes = row_slopes.data(),
                                                   .targets = device_targets.data(),
                                                   .rows = std::ssize(targets),
                                                   .columns = std::ssize(logits) / std::ssize(targets),
                                                   .stride = std::ssize(logits) / std::ssize(targets)},
                                                  nullptr);
  };
  if constexpr (std::is_same_v<T, float>) {
    run(x.data());
    return x.values();
  } else {
    run(apart.data());
    return apart.values();
  }
}

struct Shape2 {
  int64_t rows, columns;
};
// One column; less than a vector; rows that all begin elsewhere within a vector; one warp; whole groups of
// vectors and a rest, with even and odd columns.
constexpr Shape2 kShapes[] = {{2, 1}, {3, 3}, {17, 21}, {2, 512}, {2, 8192}, {3, 12'293}};

std::vector<float> random_logits(Shape2 shape) {
  auto logits = random_values<float>(shape.rows * shape.columns, 1);
  for (float& x : logits) x *= 4;
  return logits;
}
/// The last column, the first, and others.
std::vector<int32_t> some_targets(Shape2 shape) {
  std::vector<int32_t> targets;
  for (int64_t row = 0; row < shape.rows; ++row) {
    targets.push_back(static_cast<int32_t>((shape.columns - 1 + row * 5) % shape.columns));
  }
  return targets;
}

class LogSoftmaxGatherCuda : public CudaTest {};

TEST_F(LogSoftmaxGatherCuda, StatisticsAgreeWithTheCpuInDouble) {
  for (const Shape2 shape : kShapes) {
    for (const size_t skip : {0u, 3u}) {
      SCOPED_TRACE(testing::Message() << shape.rows << " x " << shape.columns << ", skip " << skip);
      const auto logits = random_logits(shape);
      const auto targets = some_targets(shape);
      const auto expected = forward_cpu(logits, targets);
      const auto actual = forward_cuda(logits, targets, skip);
      // The terms of each sum but the mean have one sign, so its relative error is that of a term (an
      // exponential of 2 units and the rounding of its argument) and at most 16 + 4 + 10 additions. The
      // entropy is a difference of two values of up to 10. The mean's terms are about 4 in size.
      expect_near(actual.log_probabilities, expected.log_probabilities, 50 * 0x1p-24, "log-probability");
      expect_near(actual.log_sum_exp, expected.log_sum_exp, 50 * 0x1p-24, "log-sum-exp");
      expect_near(actual.entropies, expected.entropies, 2 * 50 * 10 * 0x1p-24, "entropy");
      expect_near(actual.logit_means, expected.logit_means, 4 * 30 * 0x1p-24, "mean");
    }
  }
}

/// `half_unit`: the largest relative error of rounding to T.
template <class T>
void check_backward(Shape2 shape, size_t skip, size_t gradient_skip, double half_unit) {
  SCOPED_TRACE(testing::Message() << shape.rows << " x " << shape.columns << ", skip " << skip);
  const auto logits = random_logits(shape);
  const auto targets = some_targets(shape);
  auto slopes = random_values<float>(shape.rows, 2);
  const auto expected = backward_cpu(logits, targets, slopes);
  const auto actual = backward_cuda<T>(logits, targets, slopes, skip, gradient_skip);
  for (size_t i = 0; i < expected.size(); ++i) {
    // A logit and a log-sum-exp of up to 20 are subtracted, the latter rounded and off by 50 units: the
    // exponential errs by as much times itself.
    const double slope = std::fabs(slopes[i / static_cast<size_t>(shape.columns)]);
    ASSERT_NEAR(static_cast<double>(load(actual[i])), expected[i],
                slope * 100 * 0x1p-24 + half_unit * std::fabs(expected[i]))
        << i;
  }
}

TEST_F(LogSoftmaxGatherCuda, GradientsAgreeWithTheCpuInDouble) {
  for (const Shape2 shape : kShapes) {
    check_backward<float>(shape, 0, 0, 0);
    check_backward<bf16>(shape, 0, 0, 0x1p-8);
  }
}

TEST_F(LogSoftmaxGatherCuda, ArraysMayBeginAnywhere) {
  check_backward<float>({3, 45}, 3, 0, 0);
  check_backward<bf16>({3, 45}, 3, 3, 0x1p-8);      // vectors in common
  check_backward<bf16>({2, 12'293}, 2, 1, 0x1p-8);  // none
}

TEST_F(LogSoftmaxGatherCuda, MaskedLogitsHaveProbabilityZero) {
  const std::vector<float> logits{1, -kInfinity, 2, -kInfinity, -kInfinity, -kInfinity};
  const auto expected = forward_cpu({1, 2}, {0});
  const auto actual = forward_cuda(logits, {0});
  EXPECT_NEAR(actual.log_probabilities[0], expected.log_probabilities[0], 8 * 0x1p-24);
  EXPECT_NEAR(actual.entropies[0], expected.entropies[0], 8 * 0x1p-24);
  EXPECT_EQ(actual.logit_means[0], -kInfinity);
  const auto gradient = backward_cuda<float>(logits, {1}, {-2});
  EXPECT_EQ(gradient[1], -2);  // a masked target
  EXPECT_EQ(gradient[3], 0);
  EXPECT_NEAR(gradient[0] + gradient[2], 2, 8 * 0x1p-24);
  EXPECT_EQ(forward_cuda(logits, {1}).log_probabilities[0], -kInfinity);
}

TEST_F(LogSoftmaxGatherCuda, KeepsTheDigitsOfALargeSpread) {
  const auto near = forward_cuda({1000, 980, 980}, {0});
  EXPECT_NEAR(near.log_probabilities[0], -2 * std::exp(-20.0), 0x1p-24);
  EXPECT_NEAR(near.entropies[0], 2 * std::exp(-20.0) * 21, 0x1p-24);
  const auto far = forward_cuda({3e38f, -3e38f}, {1});
  EXPECT_EQ(far.log_probabilities[0], -kInfinity);
  EXPECT_EQ(far.entropies[0], 0);
}

TEST_F(LogSoftmaxGatherCuda, WhatIsNoNumberComesThrough) {
  // In a group of vectors and in the rest of a row; +inf; and a row without any logit above -inf.
  std::vector<float> logits(4 * 600, 0.5f);
  logits[40] = logits[600 + 599] = kNan;
  logits[1200 + 7] = kInfinity;
  std::fill(logits.begin() + 1800, logits.end(), -kInfinity);
  const std::vector<int32_t> targets{0, 0, 0, 0};
  const auto out = forward_cuda(logits, targets);
  for (size_t row = 0; row < 4; ++row) {
    EXPECT_TRUE(std::isnan(out.log_probabilities[row])) << row;
    EXPECT_TRUE(std::isnan(out.log_sum_exp[row])) << row;
    EXPECT_TRUE(std::isnan(out.entropies[row])) << row;
  }
  const auto gradient = backward_cuda<float>(logits, targets, {1, 1, 1, 1});
  for (size_t row = 0; row < 4; ++row) EXPECT_TRUE(std::isnan(gradient[row * 600 + 5])) << row;
}

TEST_F(LogSoftmaxGatherCuda, ATargetOutsideTheVocabularyIsNoNumber) {
  for (const int32_t target : {-1, 8}) {
    EXPECT_TRUE(std::isnan(forward_cuda(std::vector<float>(8, 0.0f), {target}).log_probabilities[0]));
  }
}

}  // namespace
}  // namespace prospect::test
