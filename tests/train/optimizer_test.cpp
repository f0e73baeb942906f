#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/near.h"
#include "tests/support/random.h"
#include "tests/support/temporary_folder.h"

namespace prospect::test {
namespace {

/// An embedding, a matrix, a bias, a norm and a matrix again, of odd sizes, so that the arena has gaps.
Parameters make_parameters(DType dtype, bool with_gradients = true) {
  std::vector<ParameterSpec> specs;
  const auto add = [&](const std::string& name, const Shape& shape, ParameterKind kind) {
    specs.push_back({name, shape, kind, {{name, shape}}});
  };
  add("embedding", {5, 3}, ParameterKind::Embedding);
  add("matrix", {3, 3}, ParameterKind::Matrix);
  add("bias", {3}, ParameterKind::Bias);
  add("norm", {3}, ParameterKind::Norm);
  add("last", {2, 3}, ParameterKind::Matrix);
  return {std::move(specs), dtype, Device::cpu(), with_gradients};
}

/// Fills every parameter and every gradient, not the gaps.
void fill(const Parameters& parameters, uint64_t seed, bool values, double deviation = 1) {
  for (size_t i = 0; i < parameters.specs().size(); ++i) {
    const Variable& variable = parameters[i];
    const Tensor target = values ? variable.value() : variable.node()->grad;
    target.copy_from(normal_tensor(target.shape(), target.dtype(), seed + i, deviation));
    if (!values) variable.node()->filled = true;
  }
}

/// AdamW of one element from its formula, all in double.
struct Scalar {
  double value, m = 0, v = 0;
  void step(double g, double rate, double decay, int64_t t, const OptimizerOptions& o) {
    value -= rate * decay * value;
    m = o.beta1 * m + (1 - o.beta1) * g;
    v = o.beta2 * v + (1 - o.beta2) * g * g;
    const double m_hat = m / (1 - std::pow(o.beta1, static_cast<double>(t)));
    const double v_hat = v / (1 - std::pow(o.beta2, static_cast<double>(t)));
    value -= rate * m_hat / (std::sqrt(v_hat) + o.epsilon);
  }
};

TEST(Optimizer, FollowsTheFormulaWithClippingAndDecayOfMatricesAndEmbeddings) {
  const OptimizerOptions options{.beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-6, .weight_decay = 0.1};
  const Parameters parameters = make_parameters(DType::F64);
  fill(parameters, 1, true);
  std::vector<Scalar> expected;
  for (const double value : to_doubles(parameters.values())) expected.push_back({value});
  Optimizer optimizer(parameters, options);
  for (int64_t t = 1; t <= 5; ++t) {
    fill(parameters, 100 * static_cast<uint64_t>(t), false);
    const std::vector<double> gradient = to_doubles(parameters.gradients());
    double norm = 0;
    for (const double g : gradient) norm += g * g;
    norm = std::sqrt(norm);
    const auto result = optimizer.step(0.01, 0.5);
    EXPECT_NEAR(result.grad_norm, norm, 1e-14 * norm);
    EXPECT_TRUE(result.finite);
    EXPECT_EQ(optimizer.steps(), t);
    for (size_t p = 0; p < parameters.specs().size(); ++p) {
      const double decay = p == 2 || p == 3 ? 0 : 0.1;
      for (int64_t i = parameters.range(p).begin; i < parameters.range(p).end; ++i) {
        const auto at = static_cast<size_t>(i);
        expected[at].step(gradient[at] * 0.5 / (norm + 1e-6), 0.01, decay, t, options);
      }
    }
  }
  std::vector<double> values;
  for (const Scalar& scalar : expected) values.push_back(scalar.value);
  // Five steps of some twenty roundings each on values of order 1; gaps stay exactly zero.
  EXPECT_TRUE(near(parameters.values(), values, 1e-14));
}

TEST(Optimizer, MergesNeighboursOfTheSameDecayAndCoversTheArena) {
  const Parameters parameters = make_parameters(DType::F64);
  const auto begin = [&](size_t index) { return parameters.range(index).begin; };
  const int64_t end = parameters.values().count();
  using Ranges = std::vector<Optimizer::Range>;
  EXPECT_EQ(Optimizer(parameters, {.weight_decay = 0.1}).ranges(),
            (Ranges{{0, begin(2), 0.1}, {begin(2), begin(4), 0}, {begin(4), end, 0.1}}));
  EXPECT_EQ(Optimizer(parameters, {.weight_decay = 0.1, .decay_scope = DecayScope::All}).ranges(),
            (Ranges{{0, end, 0.1}}));
  EXPECT_EQ(Optimizer(parameters, {}).ranges(), (Ranges{{0, end, 0}}));
}

TEST(Optimizer, ChangesNothingForAGradientThatIsNotFinite) {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    const Parameters parameters = make_parameters(DType::F32);
    fill(parameters, 1, true);
    Optimizer optimizer(parameters, {.weight_decay = 0.1});
    fill(parameters, 2, false);
    optimizer.step(0.1, 1);
    std::vector<std::vector<double>> before{to_doubles(parameters.values())};
    for (const auto& [name, tensor] : optimizer.state()) before.push_back(to_doubles(tensor));
    parameters.gradients().data<float>()[4] = static_cast<float>(bad);
    EXPECT_FALSE(optimizer.step(0.1, 1).finite);
    std::vector<std::vector<double>> after{to_doubles(parameters.values())};
    for (const auto& [name, tensor] : optimizer.state()) after.push_back(to_doubles(tensor));
    EXPECT_EQ(before, after);
    EXPECT_EQ(optimizer.steps(), 1);
  }
}

TEST(Optimizer, CountsParametersWithoutAGradientAsZero) {
  const Parameters parameters = make_parameters(DType::F32);
  Optimizer optimizer(parameters, {});
  fill(parameters, 2, false);
  parameters.zero_gradients();
  EXPECT_EQ(optimizer.step(0.1, 1).grad_norm, 0);
}

TEST(Optimizer, AccumulatesInTheMasterWhatBfloatWouldRoundAway) {
  const Parameters parameters = make_parameters(DType::BF16);
  for (bf16& value : parameters["matrix"].value().values<bf16>()) value = bf16(1.0f);
  Optimizer optimizer(parameters, {});
  // Each step moves by the rate, 2^-10, an eighth of the distance between bfloats above 1 (2^-7).
  for (int step = 0; step < 16; ++step) {
    for (bf16& gradient : parameters["matrix"].node()->grad.values<bf16>()) gradient = bf16(-1.0f);
    parameters["matrix"].node()->filled = true;
    optimizer.step(0x1p-10, 0);
  }
  for (const double value : to_doubles(parameters["matrix"].value())) EXPECT_EQ(value, 1 + 16 * 0x1p-10);
}

TEST(Optimizer, GoesOnBitByBitFromACheckpoint) {
  for (const DType dtype : {DType::F32, DType::BF16, DType::F64}) {
    const TemporaryFolder folder;
    const Parameters whole = make_parameters(dtype), resumed = make_parameters(dtype);
    fill(whole, 1, true);
    fill(resumed, 9, true);
    const auto train = [](const Parameters& parameters, Optimizer& optimizer, uint64_t from, uint64_t to) {
      for (uint64_t step = from; step < to; ++step) {
        fill(parameters, 1000 + 10 * step, false);
        optimizer.step(0.01, 1);
      }
    };
    const auto state = [](const Parameters& parameters, const Optimizer& optimizer) {
      std::vector<NamedTensor> tensors = optimizer.state();
      tensors.push_back({"parameters", parameters.values()});
      return tensors;
    };
    const OptimizerOptions options{.weight_decay = 0.1};
    Optimizer first(whole, options), second(resumed, options);
    train(whole, first, 0, 4);
    save_checkpoint({}, folder.path(), 4, "{}", state(whole, first), 1);
    train(whole, first, 4, 8);
    Checkpoint(folder / "step-00000004").load(state(resumed, second));
    train(resumed, second, 4, 8);
    const auto one = state(whole, first), other = state(resumed, second);
    ASSERT_EQ(one.size(), dtype == DType::BF16 ? 5u : 4u);
    for (size_t i = 0; i < one.size(); ++i) EXPECT_EQ(to_doubles(one[i].tensor), to_doubles(other[i].tensor));
  }
}

TEST(Optimizer, RefusesAFrozenModel) {
  const Parameters parameters = make_parameters(DType::F32, false);
  EXPECT_THROW(Optimizer(parameters, {}), Error);
}

}  // namespace
}  // namespace prospect::test
