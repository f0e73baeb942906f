#include "kernels/kto/kto.h"

#include <limits>
#include <memory>

#include "tests/support/device_case.h"

namespace prospect::test {
namespace {

using kernels::KtoForward;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Sequences of one row, of none, of less than a block's threads, and of more; some share their sectors.
const std::vector<int32_t> kOffsets{0, 1, 1, 64, 65, 65 + 128, 65 + 128 + 301};

/// Inputs of a call. What is empty is not given.
struct Inputs {
  std::vector<int32_t> offsets = kOffsets;
  std::vector<float> log_probabilities = random_values<float>(kOffsets.back(), 1),
                     reference = random_values<float>(kOffsets.back(), 2),
                     entropies = random_values<float>(kOffsets.back(), 3),
                     logit_means = random_values<float>(kOffsets.back(), 4);
  std::vector<int32_t> labels{1, 0, 0, 1, 1, 0};
  std::vector<double> z0{0.1, 0.2, 0.3, 0, -0.5, 2}, given_slopes;
  Objective objective{.beta = 0.3, .desirable_weight = 1.3, .undesirable_weight = 0.6};
  int64_t sequences() const { return std::ssize(offsets) - 1; }
};
struct Outputs {
  std::vector<double> log_ratios, values, slopes, entropy_sums, logit_sums;
  int32_t finite;
};

Outputs run_cpu(const Inputs& in) {
  const size_t count = static_cast<size_t>(in.sequences());
  const std::vector<double> none(count);
  Outputs out{none, none, none, none, none, 1};
  const auto data = [](const auto& values) { return values.empty() ? nullptr : values.data(); };
  kernels::cpu::kto_forward<float>({.log_ratios = out.log_ratios.data(),
                                    .values = out.values.data(),
                                    .slopes = out.slopes.data(),
                                    .entropy_sums = in.entropies.empty() ? nullptr : out.entropy_sums.data(),
                                    .logit_sums = in.logit_means.empty() ? nullptr : out.logit_sums.data(),
                                    .log_probabilities = in.log_probabilities.data(),
                                    .reference = data(in.reference),
                                    .entropies = data(in.entropies),
                                    .logit_means = data(in.logit_means),
                                    .offsets = in.offsets.data(),
                                    .labels = data(in.labels),
                                    .z0 = data(in.z0),
                                    .given_slopes = data(in.given_slopes),
                                    .objective = in.objective,
                                    .sequences = in.sequences(),
                                    .finite = &out.finite});
  return out;
}

/// Device memory of an array that may be absent.
template <class T>
class Given {
 public:
  explicit Given(const std::vector<T>& values) {
    if (!values.empty()) buffer_ = std::make_unique<DeviceBuffer<T>>(values);
  }
  T* data() { return buffer_ ? buffer_->data() : nullptr; }

 private:
  std::unique_ptr<DeviceBuffer<T>> buffer_;
};

Outputs run_cuda(const Inputs& in, int32_t finite = 1) {
  const std::vector<double> none(static_cast<size_t>(in.sequences()));
  DeviceBuffer<double> log_ratios(none.size()), values(none.size()), slopes(none.size()), entropy_sums(none),
      logit_sums(none);
  DeviceBuffer<int32_t> offsets(in.offsets), flag(std::vector<int32_t>{finite});
  Given<float> log_probabilities(in.log_probabilities), reference(in.reference), entropies(in.entropies),
      logit_means(in.logit_means);
  Given<int32_t> labels(in.labels);
  Given<double> z0(in.z0), given_slopes(in.given_slopes);
  kernels::cuda::kto_forward({.log_ratios = log_ratios.data(),
                              .values = values.data(),
                              .slopes = slopes.data(),
                              .entropy_sums = in.entropies.empty() ? nullptr : entropy_sums.data(),
                              .logit_sums = in.logit_means.empty() ? nullptr : logit_sums.data(),
                              .log_probabilities = log_probabilities.data(),
                              .reference = reference.data(),
                              .entropies = entropies.data(),
                              .logit_means = logit_means.data(),
                              .offsets = offsets.data(),
                              .labels = labels.data(),
                              .z0 = z0.data(),
                              .given_slopes = given_slopes.data(),
                              .objective = in.objective,
                              .sequences = in.sequences(),
                              .finite = flag.data()},
                             nullptr);
  return {log_ratios.values(),   values.values(),     slopes.values(),
          entropy_sums.values(), logit_sums.values(), flag.values()[0]};
}

/// The same float rows are summed in double in another order: at most 301 roundings of partial sums that stay
/// below 301 * 4. The objective multiplies log-ratios by beta and a slope of at most 1 / 4, and exponentials
/// differ in their last bits; with the float sigma, in the last of float.
void expect_same(const Inputs& in) {
  const Outputs expected = run_cpu(in), actual = run_cuda(in);
  const double sum = 301 * 4 * 301 * 0x1p-53, term = in.objective.float_sigmoid ? 8 * 0x1p-24 : sum;
  expect_near(actual.log_ratios, expected.log_ratios, sum, "log-ratio");
  expect_near(actual.values, expected.values, term, "value");
  expect_near(actual.slopes, expected.slopes, term, "slope");
  expect_near(actual.entropy_sums, expected.entropy_sums, sum, "entropy sum");
  expect_near(actual.logit_sums, expected.logit_sums, sum, "logit sum");
  EXPECT_EQ(actual.finite, expected.finite);
}

class KtoCuda : public CudaTest {};

TEST_F(KtoCuda, EveryObjectiveAgreesWithTheCpu) {
  for (const ObjectiveKind kind :
       {ObjectiveKind::Kto, ObjectiveKind::KtoEdifice, ObjectiveKind::KtoZero, ObjectiveKind::Lm}) {
    for (const bool float_sigmoid : {false, true}) {
      SCOPED_TRACE(static_cast<int>(kind));
      Inputs in;
      in.objective.kind = kind;
      in.objective.float_sigmoid = float_sigmoid;
      expect_same(in);
    }
  }
}

TEST_F(KtoCuda, SumsDoNotDependOnWhereASequenceBegins) {
  Inputs in;
  in.offsets = {0, 5, 5 + 77, 5 + 2 * 77};
  for (int32_t row = 0; row < 77; ++row) {
    for (auto* values : {&in.log_probabilities, &in.reference, &in.entropies, &in.logit_means}) {
      // So far apart that sums in double are rounded too.
      float& value = (*values)[static_cast<size_t>(5 + row)];
      value = std::ldexp(value, row * 7 % 60 - 30);
      (*values)[static_cast<size_t>(5 + 77 + row)] = value;
    }
  }
  in.labels = {1, 1, 1}, in.z0 = {0, 0, 0};
  const Outputs out = run_cuda(in);
  EXPECT_EQ(out.log_ratios[1], out.log_ratios[2]);
  EXPECT_EQ(out.entropy_sums[1], out.entropy_sums[2]);
  EXPECT_EQ(out.logit_sums[1], out.logit_sums[2]);
}

TEST_F(KtoCuda, WhatIsNotGivenHasItsDefault) {
  Inputs in;
  in.reference.clear(), in.entropies.clear(), in.logit_means.clear(), in.labels.clear(), in.z0.clear();
  expect_same(in);
}

TEST_F(KtoCuda, GivenSlopesAreTaken) {
  Inputs in;
  in.given_slopes = {1, 2, 3, 4, 5, 6};
  EXPECT_EQ(run_cuda(in).slopes, in.given_slopes);
  expect_same(in);
}

TEST_F(KtoCuda, ClearsTheFlagAtValuesAndSlopesThatAreNoNumbers) {
  Inputs in;
  EXPECT_EQ(run_cuda(in).finite, 1);
  EXPECT_EQ(run_cuda(in, 0).finite, 0);  // never set
  // Two sequences whose values are no numbers, cleared by two blocks.
  in.objective.kind = ObjectiveKind::Lm;
  in.log_probabilities[70] = -kInfinity;
  in.log_probabilities[300] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(run_cuda(in).finite, 0);
  Inputs slopes;
  slopes.given_slopes = {0, 0, static_cast<double>(kInfinity), 0, 0, 0};
  EXPECT_EQ(run_cuda(slopes).finite, 0);
}

TEST_F(KtoCuda, ASequenceHasTheSameBitsWhereverItsRowsLie) {
  Inputs in;
  const Outputs first = run_cuda(in);
  // The row of sequence 3 becomes that of sequence 0, and so does all else that belongs to it.
  for (auto* rows : {&in.log_probabilities, &in.reference}) (*rows)[64] = (*rows)[0];
  in.z0[3] = in.z0[0], in.labels[3] = in.labels[0];
  const Outputs second = run_cuda(in);
  EXPECT_EQ(second.values[3], first.values[0]);
  EXPECT_EQ(second.slopes[3], first.slopes[0]);
  EXPECT_EQ(second.values[5], first.values[5]);
}

TEST_F(KtoCuda, SlopesAreSpreadOverTheirRows) {
  const std::vector<double> slopes = normal(std::ssize(kOffsets) - 1, 1),
                            shares = normal(std::ssize(slopes), 2);
  for (const bool shared : {true, false}) {
    std::vector<float> expected(static_cast<size_t>(kOffsets.back()));
    kernels::cpu::kto_backward<float>({.row_slopes = expected.data(),
                                       .slopes = slopes.data(),
                                       .shares = shared ? shares.data() : nullptr,
                                       .offsets = kOffsets.data(),
                                       .sequences = std::ssize(slopes)});
    DeviceBuffer<float> row_slopes(expected.size());
    DeviceBuffer<double> device_slopes(slopes), device_shares(shares);
    DeviceBuffer<int32_t> offsets(kOffsets);
    kernels::cuda::kto_backward({.row_slopes = row_slopes.data(),
                                 .slopes = device_slopes.data(),
                                 .shares = shared ? device_shares.data() : nullptr,
                                 .offsets = offsets.data(),
                                 .sequences = std::ssize(slopes)},
                                nullptr);
    EXPECT_EQ(row_slopes.values(), expected);
  }
}

}  // namespace
}  // namespace prospect::test
