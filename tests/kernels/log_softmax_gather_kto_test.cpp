#include "kernels/log_softmax_gather_kto/log_softmax_gather_kto.h"

#include <gtest/gtest.h>

#include "tests/support/random.h"

namespace prospect::test {
namespace {

constexpr int64_t kColumns = 7, kStride = 9;
const std::vector<int32_t> kOffsets{0, 3, 3, 4, 8}, kTargets{0, 6, 3, 2, 5, 5, 1, 0}, kLabels{1, 0, 0, 1};
const std::vector<double> kZ0{0.1, 0, 0.4, -0.3}, kShares{0.5, 2, 1, 0.25};

struct Result {
  double loss = 0;
  std::vector<double> gradient;  ///< of the loss, in rows of kStride
};

Result run(const std::vector<double>& logits) {
  const size_t rows = kTargets.size(), sequences = kLabels.size();
  const auto reference = normal(std::ssize(kTargets), 2);
  std::vector<double> log_probabilities(rows), log_sum_exp(rows), entropies(rows), means(rows),
      row_slopes(rows);
  std::vector<double> log_ratios(sequences), values(sequences), slopes(sequences);
  Result result{0, std::vector<double>(logits.size())};
  kernels::cpu::log_softmax_gather_kto<double>({.statistics = {.log_probabilities = log_probabilities.data(),
                                                               .log_sum_exp = log_sum_exp.data(),
                                                               .entropies = entropies.data(),
                                                               .logit_means = means.data(),
                                                               .logits = logits.data(),
                                                               .targets = kTargets.data(),
                                                               .rows = std::ssize(kTargets),
                                                               .columns = kColumns,
                                                               .stride = kStride},
                                                .objective = {.log_ratios = log_ratios.data(),
                                                              .values = values.data(),
                                                              .slopes = slopes.data(),
                                                              .entropy_sums = nullptr,
                                                              .logit_sums = nullptr,
                                                              .log_probabilities = log_probabilities.data(),
                                                              .reference = reference.data(),
                                                              .entropies = nullptr,
                                                              .logit_means = nullptr,
                                                              .offsets = kOffsets.data(),
                                                              .labels = kLabels.data(),
                                                              .z0 = kZ0.data(),
                                                              .given_slopes = nullptr,
                                                              .objective = {.beta = 0.5},
                                                              .sequences = std::ssize(kLabels)},
                                                .spread = {.row_slopes = row_slopes.data(),
                                                           .slopes = slopes.data(),
                                                           .shares = kShares.data(),
                                                           .offsets = kOffsets.data(),
                                                           .sequences = std::ssize(kLabels)},
                                                .gradient = {.gradient = result.gradient.data(),
                                                             .logits = logits.data(),
                                                             .log_sum_exp = log_sum_exp.data(),
                                                             .row_slopes = row_slopes.data(),
                                                             .targets = kTargets.data(),
                                                             .rows = std::ssize(kTargets),
                                                             .columns = kColumns,
                                                             .stride = kStride}});
  for (size_t s = 0; s < sequences; ++s) result.loss += kShares[s] * values[s];
  return result;
}

TEST(LogSoftmaxGatherKto, GradientIsThatOfTheLoss) {
  auto logits = normal(std::ssize(kTargets) * kStride, 1);
  const auto gradient = run(logits).gradient;
  constexpr double step = 1e-5;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double kept = logits[i];
    logits[i] = kept + step;
    const double above = run(logits).loss;
    logits[i] = kept - step;
    const double below = run(logits).loss;
    logits[i] = kept;
    // Third derivatives below 1, step^2 / 6 = 2e-11; roundoff of the loss over the step 1e-11. What stands
    // between rows has no part in the loss, and no gradient is written there.
    EXPECT_NEAR(gradient[i], (above - below) / (2 * step), 1e-10) << i;
  }
}

}  // namespace
}  // namespace prospect::test
