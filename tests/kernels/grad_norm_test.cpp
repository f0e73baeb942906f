#include "kernels/grad_norm/grad_norm.h"

#include <gtest/gtest.h>
#include <omp.h>

#include "tests/support/golden.h"
#include "tests/support/near.h"
#include "tests/support/random.h"

namespace prospect::test {
namespace {

struct Result {
  double norm = -1, clip_factor = -1;
  int32_t finite = 1;
};

template <class T>
Result run(const Tensor& gradient, double max_norm, int64_t begin = 0, int64_t end = -1) {
  Result result;
  if (end < 0) end = gradient.count();
  const int64_t bytes = kernels::cpu::grad_norm_scratch_bytes(end - begin);
  std::vector<double> scratch(static_cast<size_t>(bytes) / sizeof(double));
  kernels::cpu::grad_norm<T>({.norm = &result.norm,
                              .finite = &result.finite,
                              .clip_factor = &result.clip_factor,
                              .scratch = scratch.data(),
                              .gradient = gradient.data<T>(),
                              .begin = begin,
                              .end = end,
                              .max_norm = max_norm});
  return result;
}

TEST(GradNorm, NormAndClippedGradientEqualPyTorch) {
  auto golden = read_golden("ops/grad_norm.txt");
  const auto& gradient = golden["gradient"];
  ASSERT_EQ(gradient.size(), 37u);
  const Result result = run<double>(Tensor::from(gradient, Device::cpu()), golden["max_norm"].at(0));
  // Sums of 37 squares in two orders: each a relative 37 * 2^-53 at worst, of which the root takes half.
  const double tolerance = 37 * unit_roundoff(DType::F64);
  EXPECT_NEAR(result.norm / golden["norm"].at(0), 1, tolerance);
  for (size_t i = 0; i < gradient.size(); ++i) {
    EXPECT_NEAR(result.clip_factor * gradient[i], golden["clipped"][i], 2 * tolerance);
  }
  EXPECT_EQ(result.finite, 1);
}

TEST(GradNorm, SumsRoundedStorageInDouble) {
  // In float the ones would vanish beside 1e8, one after the other.
  std::vector<double> values(10'001, 1);
  values[5'000] = 1e4;
  const Tensor gradient = Tensor::from(values, Device::cpu());
  EXPECT_DOUBLE_EQ(run<float>(convert(gradient, DType::F32), 0).norm, std::sqrt(1e8 + 10'000));
  EXPECT_DOUBLE_EQ(run<bf16>(convert(gradient, DType::BF16), 0).norm, std::sqrt(9984. * 9984. + 10'000));
}

TEST(GradNorm, ClipsOnlyWhatIsLongerAndOnlyWhenAsked) {
  const Tensor gradient = Tensor::from(std::vector<float>{3, -4}, Device::cpu());
  EXPECT_DOUBLE_EQ(run<float>(gradient, 1).clip_factor, 1 / (5 + 1e-6));
  EXPECT_EQ(run<float>(gradient, 6).clip_factor, 1);
  EXPECT_EQ(run<float>(gradient, 0).clip_factor, 1);
  EXPECT_EQ(run<float>(gradient, -1).clip_factor, 1);
  EXPECT_EQ(run<float>(gradient, 1, 1, 2).norm, 4);
  EXPECT_EQ(run<float>(gradient, 1, 1, 1).norm, 0);
}

TEST(GradNorm, FlagsEveryElementThatIsNotFinite) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    for (const int64_t place : {0, 8'191, 8'192, 20'002}) {
      const Tensor gradient = normal_tensor({20'003}, DType::F32, 1);
      gradient.data<float>()[place] = bad;
      const Result result = run<float>(gradient, 1);
      EXPECT_EQ(result.finite, 0) << bad << " at " << place;
      EXPECT_NE(result.clip_factor, 1) << bad << " at " << place;
    }
  }
  // The square of the largest float fits a double many times over.
  const Tensor largest =
      Tensor::from(std::vector<float>(100, std::numeric_limits<float>::max()), Device::cpu());
  EXPECT_EQ(run<float>(largest, 1).finite, 1);
}

TEST(GradNorm, LeavesAFlagThatIsClearedAlready) {
  const float gradient = 1;
  Result result;
  result.finite = 0;
  double scratch = 0;
  kernels::cpu::grad_norm<float>({.norm = &result.norm,
                                  .finite = &result.finite,
                                  .clip_factor = &result.clip_factor,
                                  .scratch = &scratch,
                                  .gradient = &gradient,
                                  .begin = 0,
                                  .end = 1,
                                  .max_norm = 0});
  EXPECT_EQ(result.finite, 0);
}

TEST(GradNorm, AnyNumberOfThreadsGivesTheSameBits) {
  const Tensor gradient = normal_tensor({100'003}, DType::F32, 1);
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const double alone = run<float>(gradient, 0).norm;
  for (const int count : {2, 3, 5}) {
    omp_set_num_threads(count);
    EXPECT_EQ(run<float>(gradient, 0).norm, alone) << count << " threads";
  }
  omp_set_num_threads(threads);
}

}  // namespace
}  // namespace prospect::test
