#include <limits>

#include "kernels/common/device_attribute.h"
#include "kernels/grad_norm/grad_norm.h"
#include "tests/support/device_case.h"

namespace prospect::test {
namespace {

struct Result {
  double norm, clip_factor;
  int32_t finite;
};

template <class T>
Result run_cuda(const std::vector<T>& gradient, int64_t begin, int64_t end, double max_norm, size_t skip = 0,
                int32_t finite = 1) {
  DeviceBuffer<T> device_gradient(gradient, skip);
  DeviceBuffer<double> norm(1), clip(1),
      scratch(static_cast<size_t>(kernels::cuda::grad_norm_scratch_bytes()) / sizeof(double));
  DeviceBuffer<int32_t> flag(std::vector<int32_t>{finite});
  kernels::cuda::grad_norm<T>({.norm = norm.data(),
                               .finite = flag.data(),
                               .clip_factor = clip.data(),
                               .scratch = scratch.data(),
                               .gradient = device_gradient.data(),
                               .begin = begin,
                               .end = end,
                               .max_norm = max_norm},
                              nullptr);
  return {norm.values()[0], clip.values()[0], flag.values()[0]};
}

template <class T>
Result run_cpu(const std::vector<T>& gradient, int64_t begin, int64_t end, double max_norm) {
  Result result{0, 0, 1};
  std::vector<double> scratch(
      static_cast<size_t>(kernels::cpu::grad_norm_scratch_bytes(end - begin)) / sizeof(double) + 1);
  kernels::cpu::grad_norm<T>({.norm = &result.norm,
                              .finite = &result.finite,
                              .clip_factor = &result.clip_factor,
                              .scratch = scratch.data(),
                              .gradient = gradient.data(),
                              .begin = begin,
                              .end = end,
                              .max_norm = max_norm});
  return result;
}

template <class T>
void check_ranges() {
  const auto gradient = random_values<T>(20'003, 1);
  // Nothing, one element, one whole tile of either type, and whole tiles between parts of tiles.
  const std::pair<int64_t, int64_t> ranges[] = {{7, 7}, {5, 6}, {0, 8192}, {3, 19'999}, {8, 20'003}};
  for (const auto& [begin, end] : ranges) {
    for (const size_t skip : {0u, 1u}) {
      const Result expected = run_cpu(gradient, begin, end, 1.5);
      const Result actual = run_cuda(gradient, begin, end, 1.5, skip);
      // Both sum squares in double: at most one rounding for each, of which the root takes half.
      const double tolerance = static_cast<double>(end - begin + 2) * 0x1p-53;
      EXPECT_NEAR(actual.norm, expected.norm, tolerance * expected.norm);
      EXPECT_NEAR(actual.clip_factor, expected.clip_factor, tolerance);
      EXPECT_EQ(actual.finite, 1);
    }
  }
}

class GradNormCuda : public CudaTest {};

TEST_F(GradNormCuda, AgreesWithTheCpu) {
  check_ranges<float>();
  check_ranges<bf16>();
}

TEST_F(GradNormCuda, BlocksTakeMoreThanOneTile) {
  // Eight blocks of 8192 elements on each multiprocessor, one tile more, and a little.
  const int64_t blocks = 8 * kernels::cuda::multiprocessors("test"), count = (blocks + 1) * 8192 + 5;
  std::vector<bf16> gradient(static_cast<size_t>(count));
  for (const size_t i : {size_t{0}, static_cast<size_t>(blocks * 8192 + 1), static_cast<size_t>(count - 1)}) {
    gradient[i] = bf16(2.0f);
  }
  EXPECT_DOUBLE_EQ(run_cuda(gradient, 0, count, 0).norm, std::sqrt(12.0));
}

TEST_F(GradNormCuda, ClearsTheFlagAndNeverSetsIt) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    auto gradient = random_values<float>(9000, 1);
    gradient[8000] = bad;
    const Result result = run_cuda(gradient, 0, 9000, 1);
    EXPECT_EQ(result.finite, 0);
    EXPECT_EQ(std::isnan(result.clip_factor), std::isnan(bad));
    EXPECT_EQ(run_cuda(gradient, 0, 8000, 1).finite, 1);
  }
  EXPECT_EQ(run_cuda(std::vector<float>(3, 1.0f), 0, 3, 1, 0, 0).finite, 0);
  EXPECT_EQ(run_cuda(std::vector<float>(100, std::numeric_limits<float>::max()), 0, 100, 1).finite, 1);
}

TEST_F(GradNormCuda, TheSameBitsEveryTime) {
  const auto gradient = random_values<float>(30'000, 1);
  EXPECT_EQ(run_cuda(gradient, 1, 30'000, 0).norm, run_cuda(gradient, 1, 30'000, 0).norm);
}

}  // namespace
}  // namespace prospect::test
