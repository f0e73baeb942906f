#include "kernels/adamw/adamw.h"

#include <gtest/gtest.h>

#include "tests/support/golden.h"
#include "tests/support/near.h"
#include "tests/support/random.h"

namespace prospect::test {
namespace {

/// Parameters with their state, and steps on them.
template <class T>
struct State {
  using C = compute_t<T>;
  explicit State(const std::vector<double>& initial)
      : first(initial.size()), second(initial.size()), parameter(to<T>(initial)) {
    if (!std::is_same_v<T, C>) master = to<C>(initial);
  }

  template <class U>
  static std::vector<U> to(const std::vector<double>& values) {
    std::vector<U> result;
    for (const double value : values) result.push_back(static_cast<U>(static_cast<compute_t<U>>(value)));
    return result;
  }

  void step(const std::vector<double>& values, int64_t step, double clip = 1, int32_t finite = 1,
            int64_t begin = 0, int64_t end = -1) {
    const std::vector<T> gradient = to<T>(values);
    kernels::cpu::adamw<T>({.parameter = parameter.data(),
                            .master = master.empty() ? nullptr : master.data(),
                            .first_moment = first.data(),
                            .second_moment = second.data(),
                            .gradient = gradient.data(),
                            .begin = begin,
                            .end = end < 0 ? std::ssize(parameter) : end,
                            .learning_rate = 0.01,
                            .beta1 = 0.9,
                            .beta2 = 0.95,
                            .epsilon = 1e-6,
                            .weight_decay = 0.1,
                            .step = step,
                            .clip_factor = &clip,
                            .finite = &finite});
  }

  std::vector<C> first, second, master;
  std::vector<T> parameter;
};

/// Each value within `roundings` roundings of float, relative to `scale` or to itself where that is larger.
void expect_close(const std::vector<float>& actual, const std::vector<double>& expected, double roundings,
                  double scale) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i],
                roundings * unit_roundoff(DType::F32) * std::max(scale, std::fabs(expected[i])));
  }
}

TEST(AdamW, FiveStepsEqualPyTorch) {
  auto golden = read_golden("ops/adamw.txt");
  State<float> state(golden["initial"]);
  for (int64_t step = 1; step <= 5; ++step) {
    const std::string number = std::to_string(step);
    const auto clip = golden["clip" + number];
    ASSERT_EQ(clip.size(), 1u);
    state.step(golden["gradient" + number], step, clip[0]);
    // The same operations in the same order; contracted products may differ in a rounding each. A step moves
    // a parameter by 0.01 only, so its own last rounding is what differs: two roundings a step. A moment is
    // a sum of terms of up to 0.07, or its square.
    const double roundings = 2 * static_cast<double>(step);
    expect_close(state.parameter, golden["parameter" + number], roundings, 0.01);
    expect_close(state.first, golden["first" + number], roundings, 0.07);
    expect_close(state.second, golden["second" + number], 2 * roundings, 0.005);
  }
}

TEST(AdamW, BfloatParametersAreTheRoundedMasterWeights) {
  const std::vector<double> initial = normal(1000, 1);
  State<bf16> rounded(initial);
  State<float> exact(initial);
  for (int64_t step = 1; step <= 3; ++step) {
    // The gradients must be the same, so they are rounded to bfloat16 for both.
    std::vector<double> gradient = normal(1000, 10 + static_cast<uint64_t>(step));
    for (double& value : gradient) value = static_cast<float>(bf16(static_cast<float>(value)));
    rounded.step(gradient, step);
    exact.step(gradient, step);
  }
  for (size_t i = 0; i < 1000; ++i) {
    // The two loops are compiled apart, so a product may be contracted in one of them only.
    EXPECT_NEAR(rounded.master[i], exact.parameter[i],
                3 * 2 * unit_roundoff(DType::F32) * std::max(0.01f, std::fabs(exact.parameter[i])));
    EXPECT_EQ(rounded.parameter[i].bits, bf16(rounded.master[i]).bits);
  }
}

TEST(AdamW, TouchesItsRangeAlone) {
  const std::vector<double> initial = normal(20'000, 1), gradient = normal(20'000, 2);
  State<float> whole(initial), parts(initial);
  whole.step(gradient, 1);
  parts.step(gradient, 1, 1, 1, 3, 17'001);
  for (const size_t outside : {0u, 2u, 17'001u, 19'999u}) {
    EXPECT_EQ(parts.parameter[outside], static_cast<float>(initial[outside]));
    EXPECT_EQ(parts.first[outside], 0);
    EXPECT_EQ(parts.second[outside], 0);
  }
  parts.step(gradient, 1, 1, 1, 0, 3);
  parts.step(gradient, 1, 1, 1, 17'001, 20'000);
  EXPECT_EQ(parts.parameter, whole.parameter);
  EXPECT_EQ(parts.first, whole.first);
  EXPECT_EQ(parts.second, whole.second);
}

TEST(AdamW, SkipsAnUpdateThatIsNotFinite) {
  const std::vector<double> initial = normal(10, 1);
  State<float> state(initial);
  state.step(std::vector<double>(10, std::nan("")), 1, 0, 0);
  EXPECT_EQ(state.parameter, State<float>::to<float>(initial));
  EXPECT_EQ(state.first, std::vector<float>(10, 0));
}

TEST(AdamW, LeavesZerosOfTheGapsBetweenParameters) {
  State<float> state(std::vector<double>(9, 0));
  for (int64_t step = 1; step <= 3; ++step) state.step(std::vector<double>(9, 0), step);
  EXPECT_EQ(state.parameter, std::vector<float>(9, 0));
}

}  // namespace
}  // namespace prospect::test
