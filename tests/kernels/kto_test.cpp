#include "kernels/kto/kto.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <map>
#include <numeric>

#include "tests/support/random.h"

namespace prospect::test {
namespace {

using kernels::KtoForward;

struct Case {
  Objective objective;
  double z0 = 0, loss = 0;
  std::vector<double> policy, reference, values, slopes, gradients;
  std::vector<int32_t> labels;
  int64_t count() const { return std::ssize(labels); }
};

const std::map<std::string, ObjectiveKind> kKinds{{"kto", ObjectiveKind::Kto},
                                                  {"kto-edifice", ObjectiveKind::KtoEdifice},
                                                  {"kto-zero", ObjectiveKind::KtoZero},
                                                  {"apo-zero-unpaired", ObjectiveKind::KtoZero}};

std::vector<Case> golden_cases() {
  std::ifstream file(PROSPECT_SOURCE_DIR "/tests/golden/kto/golden.txt");
  std::vector<Case> cases;
  std::string kind;
  Case next;
  int64_t count = 0;
  while (file >> kind >> next.objective.beta >> next.objective.desirable_weight >>
         next.objective.undesirable_weight >> next.z0 >> count >> next.loss) {
    next.objective.kind = kKinds.at(kind);
    Case& added = cases.emplace_back(next);
    for (int64_t i = 0; i < count; ++i) {
      int32_t label = 0;
      double row[5] = {};
      file >> row[0] >> row[1] >> label >> row[2] >> row[3] >> row[4];
      added.policy.push_back(row[0]);
      added.reference.push_back(row[1]);
      added.labels.push_back(label);
      added.values.push_back(row[2]);
      added.slopes.push_back(row[3]);
      added.gradients.push_back(row[4]);
    }
  }
  return cases;
}

struct Result {
  std::vector<double> log_ratios, values, slopes;
};

/// Each sequence has `tokens` rows, all but the first of probability 1.
template <class C>
Result run(const Case& in, int64_t tokens = 1) {
  const int64_t count = in.count();
  std::vector<C> policy(count * tokens), reference(count * tokens);
  std::vector<int32_t> offsets(count + 1);
  const std::vector<double> z0(count, in.z0);
  for (int64_t s = 0; s < count; ++s) {
    policy[s * tokens] = static_cast<C>(in.policy[s]);
    reference[s * tokens] = static_cast<C>(in.reference[s]);
    offsets[s + 1] = static_cast<int32_t>((s + 1) * tokens);
  }
  Result result{std::vector<double>(count), std::vector<double>(count), std::vector<double>(count)};
  kernels::cpu::kto_forward<C>({.log_ratios = result.log_ratios.data(),
                                .values = result.values.data(),
                                .slopes = result.slopes.data(),
                                .entropy_sums = nullptr,
                                .logit_sums = nullptr,
                                .log_probabilities = policy.data(),
                                .reference = reference.data(),
                                .entropies = nullptr,
                                .logit_means = nullptr,
                                .offsets = offsets.data(),
                                .labels = in.labels.data(),
                                .z0 = z0.data(),
                                .given_slopes = nullptr,
                                .objective = in.objective,
                                .sequences = count});
  return result;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// x = beta (r - z0) carries a few roundings of its own size, up to 100 for the cases here, which the
/// exponential turns into a relative error: 100 * 4 * 2^-53 = 4e-14. Below 1e-300 a double loses digits.
void expect_relative(double actual, double expected) {
  EXPECT_NEAR(actual, expected, 1e-12 * std::fabs(expected) + 1e-300);
}

TEST(Kto, ReproducesGoldenValuesAndSlopes) {
  const std::vector<Case> cases = golden_cases();
  ASSERT_EQ(cases.size(), 5u + 2 * (16 + 2 + 3) + 2 * (2 + 16 + 3));
  for (const Case& golden : cases) {
    for (const int64_t tokens : {1, 3}) {
      const Result result = run<double>(golden, tokens);
      for (int64_t s = 0; s < golden.count(); ++s) {
        expect_relative(result.values[s], golden.values[s]);
        expect_relative(result.slopes[s], golden.slopes[s]);
      }
      EXPECT_NEAR(mean(result.values), golden.loss, 1e-12 * std::fabs(golden.loss));
    }
  }
}

TEST(Kto, ReproducesGoldenGradientsOfTheBatch) {
  for (const Case& golden : golden_cases()) {
    std::vector<double> gradients = run<double>(golden).slopes;
    if (golden.objective.kind == ObjectiveKind::KtoEdifice) couple_slopes(gradients.data(), golden.count());
    // Coupling subtracts the mean slope: what cancels leaves an error of the size of the slopes.
    double largest = 0;
    for (const double slope : golden.slopes) largest = std::max(largest, std::fabs(slope));
    for (int64_t s = 0; s < golden.count(); ++s) {
      EXPECT_NEAR(gradients[s] / static_cast<double>(golden.count()), golden.gradients[s],
                  1e-12 * largest + 1e-300);
    }
  }
}

TEST(Kto, SinglePrecisionRowsAgreeWithDouble) {
  for (const Case& golden : golden_cases()) {
    if (std::fabs(golden.policy[0] - golden.reference[0]) > 100) continue;
    const Result result = run<float>(golden);
    for (int64_t s = 0; s < golden.count(); ++s) {
      // Two inputs of at most 2 and their difference are rounded to float; |d(value)/dr| <= weight * beta
      // / 4.
      const double tolerance = 5 * 0x1p-24 * 1.5;
      EXPECT_NEAR(result.log_ratios[s], golden.policy[s] - golden.reference[s], 5 * 0x1p-24);
      EXPECT_NEAR(result.values[s], golden.values[s], tolerance);
      EXPECT_NEAR(result.slopes[s], golden.slopes[s], tolerance);
    }
  }
}

Case random_case(ObjectiveKind kind) {
  Case in;
  in.objective = {.kind = kind, .beta = 0.7, .desirable_weight = 1.3, .undesirable_weight = 0.6};
  in.policy = normal(9, 1);
  in.reference = normal(9, 2);
  for (int32_t s = 0; s < 9; ++s) in.labels.push_back(s % 3 != 0);
  in.z0 = 0.2;
  return in;
}

TEST(Kto, SwappingLabelsAndWeightsMirrorsTheLogRatio) {
  Case in = random_case(ObjectiveKind::Kto);
  const Result plain = run<double>(in);
  for (int32_t& label : in.labels) label = 1 - label;
  std::swap(in.objective.desirable_weight, in.objective.undesirable_weight);
  std::swap(in.policy, in.reference);
  in.z0 = -in.z0;
  const Result mirrored = run<double>(in);
  for (size_t s = 0; s < plain.values.size(); ++s) {
    EXPECT_DOUBLE_EQ(mirrored.values[s], plain.values[s]);
    EXPECT_DOUBLE_EQ(mirrored.slopes[s], -plain.slopes[s]);
  }
}

TEST(Kto, NoGradientFlowsThroughZ0) {
  // The slope of each sequence is that of its own value alone, with z0 held where it is.
  Case in = random_case(ObjectiveKind::Kto);
  const Result result = run<double>(in);
  constexpr double step = 1e-5;
  for (int64_t s = 0; s < in.count(); ++s) {
    Case above = in, below = in;
    above.policy[s] += step;
    below.policy[s] -= step;
    const Result up = run<double>(above), down = run<double>(below);
    for (int64_t other = 0; other < in.count(); ++other) {
      const double slope = (up.values[other] - down.values[other]) / (2 * step);
      EXPECT_NEAR(slope, other == s ? result.slopes[s] : 0, 1e-9);
    }
  }
}

/// The batch loss of kto-edifice with its own z0: the mean of all log-ratios.
double edifice_loss(Case in) {
  in.z0 = mean(in.policy) - mean(in.reference);
  return mean(run<double>(in).values);
}

TEST(Kto, CoupledSlopesAreTheGradientOfTheBatchThroughItsMean) {
  Case in = random_case(ObjectiveKind::KtoEdifice);
  in.z0 = mean(in.policy) - mean(in.reference);
  std::vector<double> gradients = run<double>(in).slopes;
  couple_slopes(gradients.data(), in.count());
  EXPECT_NEAR(std::accumulate(gradients.begin(), gradients.end(), 0.0), 0, 1e-15);
  constexpr double step = 1e-5;
  for (int64_t s = 0; s < in.count(); ++s) {
    Case above = in, below = in;
    above.policy[s] += step;
    below.policy[s] -= step;
    const double expected = (edifice_loss(above) - edifice_loss(below)) / (2 * step);
    // Third derivatives below 1, step^2 / 6 = 2e-11; roundoff of the loss over the step 1e-11.
    EXPECT_NEAR(gradients[s] / static_cast<double>(in.count()), expected, 1e-10);
  }
}

TEST(Kto, NextTokenLossIsTheNegativeSum) {
  Case in = random_case(ObjectiveKind::Lm);
  in.reference.assign(9, 0);
  const Result result = run<double>(in);
  for (int64_t s = 0; s < in.count(); ++s) {
    EXPECT_EQ(result.values[s], -in.policy[s]);
    EXPECT_EQ(result.slopes[s], -1);
  }
}

TEST(Kto, SigmaInFloatLeavesNothingOfSaturatedRows) {
  for (const ObjectiveKind kind : {ObjectiveKind::Kto, ObjectiveKind::KtoZero}) {
    const Objective exact{.kind = kind, .beta = 1, .desirable_weight = 1.5, .undesirable_weight = 0.5};
    Objective rounded = exact;
    rounded.float_sigmoid = true;
    for (const bool desirable : {true, false}) {
      for (double ratio = -12; ratio <= 12; ratio += 0.7) {
        const ObjectiveTerm a = objective_term(rounded, ratio, desirable, 0.2);
        const ObjectiveTerm b = objective_term(exact, ratio, desirable, 0.2);
        // x, exp, sum and quotient are rounded to float, each to 2^-24 of at most 12 (x) or 1.
        EXPECT_NEAR(a.value, b.value, 1.5 * 15 * 0x1p-24);
        EXPECT_NEAR(a.slope, b.slope, 1.5 * 15 * 0x1p-24);
      }
    }
    EXPECT_GT(-objective_term(exact, 20, true, 0).slope, 1e-9);
    EXPECT_EQ(objective_term(rounded, 20, true, 0).slope, 0);
    EXPECT_EQ(objective_term(rounded, 20, true, 0).value, 0);
  }
  const Objective rounded{.beta = 1, .float_sigmoid = true}, zero{ObjectiveKind::KtoZero, 1, 1, 1, true};
  EXPECT_EQ(objective_term(rounded, -20, false, 0).slope, 0);
  // TRL writes this one as sigma(beta r), which keeps its digits.
  EXPECT_GT(objective_term(zero, -20, false, 0).slope, 1e-9);
}

TEST(Kto, SumsRowsOfEachSequenceAndUsesGivenSlopes) {
  const std::vector<float> policy{-1, -2, -4}, reference{-1, -1, -1}, entropies{1, 2, 4}, means{8, 16, 32};
  const std::vector<int32_t> offsets{0, 2, 2, 3}, labels{1, 1, 0};
  const std::vector<double> given{5, 6, 7};
  const std::vector<double> z0{0.25, 0.5, 0.75}, shares{0.5, 1, 2};
  std::vector<double> ratios(3), values(3), slopes(3), entropy_sums(3), logit_sums(3);
  kernels::cpu::kto_forward<float>({.log_ratios = ratios.data(),
                                    .values = values.data(),
                                    .slopes = slopes.data(),
                                    .entropy_sums = entropy_sums.data(),
                                    .logit_sums = logit_sums.data(),
                                    .log_probabilities = policy.data(),
                                    .reference = reference.data(),
                                    .entropies = entropies.data(),
                                    .logit_means = means.data(),
                                    .offsets = offsets.data(),
                                    .labels = labels.data(),
                                    .z0 = z0.data(),
                                    .given_slopes = given.data(),
                                    .objective = {},
                                    .sequences = 3});
  EXPECT_EQ(ratios, (std::vector<double>{-1, 0, -3}));
  EXPECT_EQ(slopes, given);
  EXPECT_EQ(entropy_sums, (std::vector<double>{3, 0, 4}));
  EXPECT_EQ(logit_sums, (std::vector<double>{24, 0, 32}));
  // A sequence without rows has r = 0 and keeps its place in the mean.
  EXPECT_DOUBLE_EQ(values[1], 1 - sigmoid(-0.05));
  EXPECT_DOUBLE_EQ(values[2], sigmoid(-0.375));  // each sequence has a z0 of its own
  std::vector<float> row_slopes(3);
  kernels::cpu::kto_backward<float>({.row_slopes = row_slopes.data(),
                                     .slopes = slopes.data(),
                                     .shares = shares.data(),
                                     .offsets = offsets.data(),
                                     .sequences = 3});
  EXPECT_EQ(row_slopes, (std::vector<float>{2.5, 2.5, 14}));
}

/// The flag after a call with one sequence of one row, the next-token loss where no slope is given.
int32_t flag_after(double log_probability, int32_t flag, const double* given_slope = nullptr) {
  const int32_t offsets[] = {0, 1};
  double ratio = 0, value = 0, slope = 0;
  kernels::cpu::kto_forward<double>({.log_ratios = &ratio,
                                     .values = &value,
                                     .slopes = &slope,
                                     .entropy_sums = nullptr,
                                     .logit_sums = nullptr,
                                     .log_probabilities = &log_probability,
                                     .reference = nullptr,
                                     .entropies = nullptr,
                                     .logit_means = nullptr,
                                     .offsets = offsets,
                                     .labels = nullptr,
                                     .z0 = nullptr,
                                     .given_slopes = given_slope,
                                     .objective = {.kind = ObjectiveKind::Lm},
                                     .sequences = 1,
                                     .finite = &flag});
  return flag;
}

TEST(Kto, ClearsTheFlagAtValuesAndSlopesThatAreNoNumbers) {
  const double infinity = std::numeric_limits<double>::infinity(), one = 1, nan = std::nan("");
  EXPECT_EQ(flag_after(-1, 1), 1);
  EXPECT_EQ(flag_after(-1, 0), 0);  // never set
  EXPECT_EQ(flag_after(-infinity, 1), 0);
  EXPECT_EQ(flag_after(nan, 1), 0);
  EXPECT_EQ(flag_after(-1, 1, &one), 1);
  EXPECT_EQ(flag_after(-1, 1, &nan), 0);
}

}  // namespace
}  // namespace prospect::test
