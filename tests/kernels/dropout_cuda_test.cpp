#include "kernels/dropout/dropout.h"

#include "kernels/common/philox.h"
#include "tests/support/device_case.h"

namespace prospect::test {
namespace {

struct Case {
  int64_t tokens, columns;
  double probability;
  size_t skip = 0;  ///< the arrays begin that many elements behind an aligned place
};

/// What the mask depends on, of several examples.
struct MaskArrays {
  explicit MaskArrays(int64_t tokens) {
    for (int64_t i = 0; i < tokens; ++i) {
      examples.push_back(static_cast<int32_t>(1000 + i / 3));
      positions.push_back(static_cast<int32_t>(i % 3 + 7));
    }
  }
  std::vector<int32_t> examples, positions;
};

kernels::DropoutMask make_mask(const Case& shape, const int32_t* examples, const int32_t* positions) {
  return {.probability = shape.probability,
          .key = kernels::dropout_key(5, 3),
          .site = 2,
          .examples = examples,
          .positions = positions};
}

/// Elements are zero at the same places, and otherwise agree: the scale and the product are rounded to float.
template <class T>
void expect_masked(const std::vector<T>& actual, const std::vector<double>& expected, const char* what) {
  expect_near(actual, expected, 2 * 0x1p-24 + unit<T>(), what);
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(static_cast<float>(load(actual[i])) == 0, expected[i] == 0) << what << "[" << i << "]";
  }
}

template <class T>
void check(const Case& shape, GradMode mode) {
  SCOPED_TRACE(testing::Message() << shape.tokens << " x " << shape.columns << ", " << shape.probability);
  const auto [tokens, columns, probability, skip] = shape;
  const auto x = random_values<T>(tokens * columns, 1), dy = random_values<T>(tokens * columns, 2),
             before = random_values<T>(tokens * columns, 3);
  const auto exact_x = doubles(x), exact_dy = doubles(dy);
  std::vector<double> y(x.size());
  auto dx = doubles(before);
  const MaskArrays arrays(tokens);
  const auto mask = make_mask(shape, arrays.examples.data(), arrays.positions.data());
  kernels::cpu::dropout_forward<double>(
      {.y = y.data(), .x = exact_x.data(), .mask = mask, .tokens = tokens, .columns = columns});
  kernels::cpu::dropout_backward<double>({.dx = dx.data(),
                                          .dx_mode = mode,
                                          .dy = exact_dy.data(),
                                          .mask = mask,
                                          .tokens = tokens,
                                          .columns = columns});

  DeviceBuffer<int32_t> examples(arrays.examples), positions(arrays.positions);
  const auto device_mask = make_mask(shape, examples.data(), positions.data());
  DeviceBuffer<T> device_x(x, skip), device_y(x.size(), skip), device_dy(dy, skip), device_dx(before, skip);
  kernels::cuda::dropout_forward<T>(
      {.y = device_y.data(), .x = device_x.data(), .mask = device_mask, .tokens = tokens, .columns = columns},
      nullptr);
  kernels::cuda::dropout_backward<T>({.dx = device_dx.data(),
                                      .dx_mode = mode,
                                      .dy = device_dy.data(),
                                      .mask = device_mask,
                                      .tokens = tokens,
                                      .columns = columns},
                                     nullptr);
  expect_masked(device_y.values(), y, "y");
  if (mode == GradMode::Ignore) {
    expect_near(device_dx.values(), dx, 0, "dx");
  } else {
    expect_masked(device_dx.values(), dx, "dx");
  }
}

class DropoutCuda : public CudaTest {};

// One token, one column, one vector, odd columns, a ragged last warp, two and three tiles; from nothing
// dropped to nearly everything.
constexpr Case kCases[] = {{1, 64, 0.1},  {3, 1, 0.5},     {2, 8, 0.5},     {5, 129, 0.1},
                           {3, 520, 0.9}, {2, 4864, 0.05}, {1, 8200, 0.25}, {4, 72, 0}};

TEST_F(DropoutCuda, SinglePrecisionHasTheCpusMask) {
  for (const Case& each : kCases) check<float>(each, GradMode::Overwrite);
}

TEST_F(DropoutCuda, BfloatHasTheCpusMask) {
  for (const Case& each : kCases) check<bf16>(each, GradMode::Overwrite);
}

TEST_F(DropoutCuda, ArraysNeedNotBeAligned) {
  check<float>({3, 64, 0.3, 1}, GradMode::Overwrite);
  check<bf16>({3, 64, 0.3, 3}, GradMode::Accumulate);
}

TEST_F(DropoutCuda, GradientsAccumulateOrStayAsTheyAre) {
  for (const GradMode mode : {GradMode::Accumulate, GradMode::Ignore}) {
    check<float>({4, 96, 0.5}, mode);
    check<bf16>({4, 96, 0.5}, mode);
  }
}

TEST_F(DropoutCuda, KeepsAnElementWhoseWordIsTheThreshold) {
  const MaskArrays arrays(1);
  const auto mask = make_mask({1, 8, 0}, arrays.examples.data(), arrays.positions.data());
  const auto words = philox(
      {1, static_cast<uint32_t>(arrays.positions[0]), static_cast<uint32_t>(arrays.examples[0]), mask.site},
      mask.key);
  for (size_t word = 0; word < 4; ++word) {
    const double probability = words[word] * 0x1p-32;
    SCOPED_TRACE(probability);
    ASSERT_EQ(kernels::dropout_threshold(probability), words[word]);
    check<float>({1, 8, probability}, GradMode::Overwrite);
    check<float>({1, 7, probability}, GradMode::Overwrite);  // element by element
  }
}

}  // namespace
}  // namespace prospect::test
