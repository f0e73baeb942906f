#include "kernels/head/head.h"

#include <gtest/gtest.h>

#include "engine/ops.h"
#include "tests/support/near.h"
#include "tests/support/random.h"

namespace prospect::test {
namespace {

constexpr int64_t kRows = 11, kColumns = 6, kVocabulary = 13;

/// Four sequences, one without rows, one of eight.
HeadInputs make_inputs(DType dtype) {
  HeadInputs inputs;
  inputs.host_offsets = {0, 2, 2, 10, 11};
  inputs.offsets = Tensor::from(inputs.host_offsets, Device::cpu());
  inputs.targets = Tensor::from(std::vector<int32_t>{0, 12, 3, 3, 7, 1, 5, 12, 2, 9, 4}, Device::cpu());
  inputs.labels = Tensor::from(std::vector<int32_t>{1, 0, 0, 1}, Device::cpu());
  auto reference = normal(kRows, 5, 0.5);
  for (double& value : reference) value -= 2.5;
  inputs.reference = convert(Tensor::from(reference, Device::cpu()), compute_dtype(dtype));
  inputs.z0 = Tensor::from(std::vector<double>{0.15, 0.3, -0.2, 0.05}, Device::cpu());
  inputs.objective = {
      .kind = ObjectiveKind::Kto, .beta = 0.3, .desirable_weight = 1.4, .undesirable_weight = 0.8};
  inputs.shares = Tensor::from(std::vector<double>{0.25, 0.5, 0.125, 0.25}, Device::cpu());
  return inputs;
}

struct Trial {
  HeadOutputs outputs;
  Tensor dhidden, dweight;
};

Trial run(const HeadInputs& inputs, DType dtype = DType::F64) {
  const auto hidden = Variable::parameter(normal_tensor({kRows, kColumns}, dtype, 1));
  const auto weight = Variable::parameter(normal_tensor({kVocabulary, kColumns}, dtype, 2));
  Trial run{head(hidden, weight, inputs), {}, {}};
  backward(run.outputs.loss);
  run.dhidden = hidden.grad();
  run.dweight = weight.grad();
  return run;
}

int64_t bytes_of_rows(int64_t rows) {
  return rows * kVocabulary * static_cast<int64_t>(sizeof(double));
}

/// The same numbers written plainly: logits of all rows, then softmax, then the loss, then each product.
struct Unfused {
  double loss = 0;
  std::vector<double> log_probabilities, log_ratios, values, slopes, entropy_sums, logit_sums, dhidden,
      dweight;
};

void unfused_rows(Unfused& out, const HeadInputs& inputs, const std::vector<double>& logits, int64_t s) {
  for (int64_t row = inputs.host_offsets[s]; row < inputs.host_offsets[s + 1]; ++row) {
    const double* x = logits.data() + row * kVocabulary;
    double sum = 0, mean = 0, entropy = 0;
    for (int64_t v = 0; v < kVocabulary; ++v) sum += std::exp(x[v]);
    for (int64_t v = 0; v < kVocabulary; ++v) {
      entropy -= std::exp(x[v]) / sum * (x[v] - std::log(sum));
      mean += x[v] / kVocabulary;
    }
    out.log_probabilities[row] = x[inputs.targets.data<int32_t>()[row]] - std::log(sum);
    out.log_ratios[s] += out.log_probabilities[row];
    if (inputs.reference.defined()) out.log_ratios[s] -= inputs.reference.data<double>()[row];
    out.entropy_sums[s] += entropy;
    out.logit_sums[s] += mean;
  }
}

void unfused_gradients(Unfused& out, const HeadInputs& inputs, const std::vector<double>& logits, int64_t s,
                       const double* hidden, const double* weight) {
  for (int64_t row = inputs.host_offsets[s]; row < inputs.host_offsets[s + 1]; ++row) {
    const int32_t target = inputs.targets.data<int32_t>()[row];
    const double log_sum_exp = logits[row * kVocabulary + target] - out.log_probabilities[row];
    for (int64_t v = 0; v < kVocabulary; ++v) {
      const double p = std::exp(logits[row * kVocabulary + v] - log_sum_exp);
      const double dlogit = inputs.shares.data<double>()[s] * out.slopes[s] * ((v == target) - p);
      for (int64_t c = 0; c < kColumns; ++c) {
        out.dhidden[row * kColumns + c] += dlogit * weight[v * kColumns + c];
        out.dweight[v * kColumns + c] += dlogit * hidden[row * kColumns + c];
      }
    }
  }
}

Unfused unfused(const HeadInputs& inputs) {
  const auto hidden = normal(kRows * kColumns, 1), weight = normal(kVocabulary * kColumns, 2);
  const int64_t sequences = std::ssize(inputs.host_offsets) - 1;
  std::vector<double> logits(kRows * kVocabulary);
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t v = 0; v < kVocabulary; ++v) {
      for (int64_t c = 0; c < kColumns; ++c) {
        logits[row * kVocabulary + v] += hidden[row * kColumns + c] * weight[v * kColumns + c];
      }
    }
  }
  Unfused out;
  out.log_probabilities.resize(kRows);
  for (auto* sums : {&out.log_ratios, &out.values, &out.slopes, &out.entropy_sums, &out.logit_sums}) {
    sums->resize(sequences);
  }
  out.dhidden.resize(kRows * kColumns);
  out.dweight.resize(kVocabulary * kColumns);
  for (int64_t s = 0; s < sequences; ++s) {
    unfused_rows(out, inputs, logits, s);
    const ObjectiveTerm term =
        objective_term(inputs.objective, out.log_ratios[s], inputs.labels.data<int32_t>()[s] == 1,
                       inputs.z0.data<double>()[s]);
    out.values[s] = term.value;
    out.slopes[s] = inputs.slopes.defined() ? inputs.slopes.data<double>()[s] : term.slope;
    out.loss += inputs.shares.data<double>()[s] * term.value;
    unfused_gradients(out, inputs, logits, s, hidden.data(), weight.data());
  }
  return out;
}

void expect_equal(const Trial& actual, const Unfused& expected, double tolerance) {
  EXPECT_TRUE(near(actual.outputs.loss.value(), {expected.loss}, tolerance));
  EXPECT_TRUE(near(actual.outputs.log_probabilities, expected.log_probabilities, tolerance));
  EXPECT_TRUE(near(actual.outputs.log_ratios, expected.log_ratios, tolerance));
  EXPECT_TRUE(near(actual.outputs.values, expected.values, tolerance));
  EXPECT_TRUE(near(actual.outputs.slopes, expected.slopes, tolerance));
  EXPECT_TRUE(near(actual.outputs.entropy_sums, expected.entropy_sums, tolerance));
  EXPECT_TRUE(near(actual.outputs.logit_sums, expected.logit_sums, tolerance));
  EXPECT_LT(relative_distance(to_doubles(actual.dhidden), expected.dhidden), tolerance);
  EXPECT_LT(relative_distance(to_doubles(actual.dweight), expected.dweight), tolerance);
}

TEST(Head, EqualsTheUnfusedComputationForEveryChunkSize) {
  // Sums of at most 13 products of values below 5, in another order: 13 * 25 * 2^-53 = 4e-14.
  const HeadInputs kto = make_inputs(DType::F64);
  HeadInputs given = kto, lm = kto;
  given.slopes = Tensor::from(std::vector<double>{0.5, 1, -0.25, 2}, Device::cpu());
  lm.objective.kind = ObjectiveKind::Lm;
  lm.reference = {};
  for (HeadInputs inputs : {kto, given, lm}) {
    const Unfused expected = unfused(inputs);
    for (int64_t rows = 0; rows <= kRows + 1; ++rows) {
      inputs.chunk_bytes = bytes_of_rows(rows);
      SCOPED_TRACE(rows);
      expect_equal(run(inputs), expected, 1e-12);
    }
  }
}

double loss_of(const Tensor& hidden, const Tensor& weight, const HeadInputs& inputs) {
  const NoGrad off;
  return head(Variable(hidden), Variable(weight), inputs).loss.value().data<double>()[0];
}

TEST(Head, GradientsMatchFiniteDifferences) {
  HeadInputs inputs = make_inputs(DType::F64);
  inputs.chunk_bytes = bytes_of_rows(3);
  const Trial actual = run(inputs);
  const Tensor hidden = normal_tensor({kRows, kColumns}, DType::F64, 1);
  const Tensor weight = normal_tensor({kVocabulary, kColumns}, DType::F64, 2);
  constexpr double step = 1e-5;
  for (const auto& [input, gradient] :
       {std::pair{hidden, actual.dhidden}, std::pair{weight, actual.dweight}}) {
    for (int64_t i = 0; i < input.count(); ++i) {
      double& x = input.data<double>()[i];
      const double kept = x;
      x = kept + step;
      const double above = loss_of(hidden, weight, inputs);
      x = kept - step;
      const double below = loss_of(hidden, weight, inputs);
      x = kept;
      // As for check_gradients: step^2 times third derivatives of order 1 to 10, and roundoff over the step.
      ASSERT_NEAR(gradient.data<double>()[i], (above - below) / (2 * step), 1e-8) << i;
    }
  }
}

TEST(Head, CarriesNoGradientThroughZ0) {
  // With the slopes held, another z0 changes the values and no bit of a gradient.
  HeadInputs inputs = make_inputs(DType::F64);
  const Trial before = run(inputs);
  inputs.slopes = before.outputs.slopes;
  inputs.z0 = Tensor::from(std::vector<double>(4, 3.0), Device::cpu());
  const Trial after = run(inputs);
  EXPECT_NE(to_doubles(after.outputs.values), to_doubles(before.outputs.values));
  EXPECT_EQ(to_doubles(after.dhidden), to_doubles(before.dhidden));
  EXPECT_EQ(to_doubles(after.dweight), to_doubles(before.dweight));
}

TEST(Head, SinglePrecisionAndBfloatAgreeWithDouble) {
  // Inputs are rounded once: a logit of 6 products of values of order 1 errs by about sqrt(6) roundings, and
  // the gradients, which see also dlogits and results rounded, by a few more.
  const Trial exact = run(make_inputs(DType::F64));
  for (const DType dtype : {DType::F32, DType::BF16}) {
    for (const int64_t rows : {2, 100}) {
      HeadInputs inputs = make_inputs(dtype);
      inputs.chunk_bytes = bytes_of_rows(rows);
      const Trial actual = run(inputs, dtype);
      const double tolerance = 8 * unit_roundoff(dtype);
      EXPECT_TRUE(near(actual.outputs.log_probabilities, exact.outputs.log_probabilities, 2 * tolerance));
      // Eight rows are summed; |d(value)/dr| <= 1.4 * 0.3 / 4.
      EXPECT_TRUE(near(actual.outputs.loss.value(), exact.outputs.loss.value(), tolerance));
      EXPECT_LT(relative_distance(to_doubles(actual.dhidden), to_doubles(exact.dhidden)), tolerance);
      EXPECT_LT(relative_distance(to_doubles(actual.dweight), to_doubles(exact.dweight)), tolerance);
    }
  }
}

TEST(Head, WithoutRecordingGivesTheSameOutputsAndNoGradient) {
  const HeadInputs inputs = make_inputs(DType::F64);
  const auto hidden = Variable::parameter(normal_tensor({kRows, kColumns}, DType::F64, 1));
  const auto weight = Variable::parameter(normal_tensor({kVocabulary, kColumns}, DType::F64, 2));
  HeadInputs small = inputs;
  small.chunk_bytes = bytes_of_rows(4);
  const NoGrad off;
  const HeadOutputs outputs = head(hidden, weight, small);
  EXPECT_FALSE(outputs.loss.needs_grad());
  EXPECT_FALSE(weight.grad().defined());
  EXPECT_TRUE(near(outputs.log_probabilities, unfused(inputs).log_probabilities, 1e-12));
  EXPECT_TRUE(near(outputs.slopes, unfused(inputs).slopes, 1e-12));
}

TEST(Head, LabelsReferenceZ0AndSharesMayBeAbsent) {
  HeadInputs inputs = make_inputs(DType::F64);
  inputs.reference = {};
  inputs.labels = Tensor::from(std::vector<int32_t>{1, 1, 1, 1}, Device::cpu());
  inputs.z0 = Tensor::zeros({4}, DType::F64, Device::cpu());
  inputs.shares = Tensor::from(std::vector<double>(4, 1.0), Device::cpu());
  const Unfused expected = unfused(inputs);
  inputs.labels = {};
  inputs.z0 = {};
  inputs.shares = {};
  expect_equal(run(inputs), expected, 1e-12);
}

TEST(Head, AFrozenWeightOrHiddenGetsNoGradient) {
  const HeadInputs inputs = make_inputs(DType::F64);
  const Trial both = run(inputs);
  const Tensor hidden = normal_tensor({kRows, kColumns}, DType::F64, 1);
  const Tensor weight = normal_tensor({kVocabulary, kColumns}, DType::F64, 2);
  const auto trained_hidden = Variable::parameter(hidden), trained_weight = Variable::parameter(weight);
  backward(head(trained_hidden, Variable(weight), inputs).loss);
  EXPECT_EQ(to_doubles(trained_hidden.grad()), to_doubles(both.dhidden));
  backward(head(Variable(hidden), trained_weight, inputs).loss);
  EXPECT_EQ(to_doubles(trained_weight.grad()), to_doubles(both.dweight));
}

TEST(Head, AccumulatesOverMicroBatches) {
  const HeadInputs inputs = make_inputs(DType::F64);
  const Trial once = run(inputs);
  const auto hidden = Variable::parameter(normal_tensor({kRows, kColumns}, DType::F64, 1));
  const auto weight = Variable::parameter(normal_tensor({kVocabulary, kColumns}, DType::F64, 2));
  for (int step = 0; step < 2; ++step) backward(head(hidden, weight, inputs).loss);
  for (const auto& [twice, single] :
       {std::pair{hidden.grad(), once.dhidden}, {weight.grad(), once.dweight}}) {
    std::vector<double> doubled = to_doubles(single);
    for (double& value : doubled) value *= 2;
    EXPECT_TRUE(near(twice, doubled, 1e-13));
  }
}

TEST(Head, ATiedWeightGetsBothGradientsAndOneCallOfItsHook) {
  // The weight also makes hidden, through an op that is the identity on its first rows.
  const HeadInputs inputs = make_inputs(DType::F64);
  const Tensor table = normal_tensor({kVocabulary, kColumns}, DType::F64, 2);
  const auto first_rows = [](const Variable& weight) {
    return record(weight.value().rows(0, kRows).clone(), {weight},
                  [](const Tensor& grad, std::span<const GradTarget> targets) {
                    Tensor all = targets[0].buffer;
                    if (targets[0].mode == GradMode::Overwrite) all.fill_zero();
                    for (int64_t i = 0; i < grad.count(); ++i)
                      all.data<double>()[i] += grad.data<double>()[i];
                  });
  };
  const auto tied = Variable::parameter(table);
  int calls = 0;
  tied.set_on_ready([&] { ++calls; });
  backward(head(first_rows(tied), tied, inputs).loss);
  EXPECT_EQ(calls, 1);
  const auto apart = Variable::parameter(table.clone()), other = Variable::parameter(table.clone());
  backward(head(first_rows(apart), other, inputs).loss);
  std::vector<double> expected = to_doubles(apart.grad());
  const std::vector<double> second = to_doubles(other.grad());
  for (size_t i = 0; i < expected.size(); ++i) expected[i] += second[i];
  EXPECT_TRUE(near(tied.grad(), expected, 1e-13));
}

TEST(Head, CallsTheHookOfAWeightThatNothingElseUses) {
  const auto weight = Variable::parameter(normal_tensor({kVocabulary, kColumns}, DType::F64, 2));
  int calls = 0;
  weight.set_on_ready([&] { ++calls; });
  backward(
      head(Variable(normal_tensor({kRows, kColumns}, DType::F64, 1)), weight, make_inputs(DType::F64)).loss);
  EXPECT_EQ(calls, 1);
}

TEST(Head, ABatchWithoutRowsHasAZeroGradient) {
  HeadInputs inputs;
  inputs.host_offsets = {0, 0};
  inputs.offsets = Tensor::from(inputs.host_offsets, Device::cpu());
  inputs.targets = Tensor::empty({0}, DType::I32, Device::cpu());
  const auto weight = Variable::parameter(normal_tensor({kVocabulary, kColumns}, DType::F64, 2));
  const HeadOutputs outputs =
      head(Variable::parameter(Tensor::empty({0, kColumns}, DType::F64, Device::cpu())), weight, inputs);
  backward(outputs.loss);
  EXPECT_EQ(outputs.loss.value().data<double>()[0], 0.5);
  EXPECT_EQ(to_doubles(weight.grad()), std::vector<double>(kVocabulary * kColumns, 0));
}

TEST(Head, MustBeTheRootWithSeedOne) {
  const auto hidden = Variable::parameter(normal_tensor({kRows, kColumns}, DType::F64, 1));
  const HeadOutputs outputs =
      head(hidden, Variable(normal_tensor({kVocabulary, kColumns}, DType::F64, 2)), make_inputs(DType::F64));
  EXPECT_THROW(backward(outputs.loss, Tensor::from(std::vector<double>{2}, Device::cpu())), Error);
}

TEST(Head, NamesWhatItExpected) {
  HeadInputs inputs = make_inputs(DType::F64);
  inputs.host_offsets.back() = 12;
  try {
    run(inputs);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "head: host_offsets must rise from 0 to the 11 rows of hidden");
  }
}

}  // namespace
}  // namespace prospect::test
