#include <type_traits>

#include "kernels/adamw/adamw.h"
#include "kernels/common/error.h"
#include "tests/support/device_case.h"

namespace prospect::test {
namespace {

using kernels::AdamW;

/// Elements of an arena; the arrays begin `skip` elements behind an aligned place.
struct Range {
  int64_t count, begin, end;
  size_t skip = 0;
};

std::vector<float> positive_values(int64_t count, uint64_t seed) {
  std::vector<float> values = random_values<float>(count, seed);
  for (float& value : values) value = 0.5f + std::fabs(value);
  return values;
}

/// Step 3 on the device beside the same on the CPU in double, with the values that T holds. The CPU's arrays
/// are compared whole: what lies outside the range must not change.
template <class T>
void check_step(Range range, double clip, int32_t finite) {
  constexpr bool kRounds = !std::is_same_v<T, float>;
  const auto gradient = random_values<T>(range.count, 1);
  const auto initial = random_values<float>(range.count, 2), first = random_values<float>(range.count, 3),
             second = positive_values(range.count, 4);
  auto p = doubles(initial), m = doubles(first), v = doubles(second);
  const auto g = doubles(gradient);
  const AdamW<double> expected{.parameter = p.data(),
                               .master = nullptr,
                               .first_moment = m.data(),
                               .second_moment = v.data(),
                               .gradient = g.data(),
                               .begin = range.begin,
                               .end = range.end,
                               .learning_rate = 0.01,
                               .beta1 = 0.9,
                               .beta2 = 0.95,
                               .epsilon = 1e-6,
                               .weight_decay = 0.1,
                               .step = 3,
                               .clip_factor = &clip,
                               .finite = &finite};
  kernels::cpu::adamw(expected);

  const std::vector<T> stale = random_values<T>(range.count, 5);
  DeviceBuffer<float> exact(initial, range.skip), device_first(first, range.skip),
      device_second(second, range.skip);
  DeviceBuffer<T> rounded(stale, range.skip), device_gradient(gradient, range.skip);
  DeviceBuffer<double> device_clip(std::vector<double>{clip});
  DeviceBuffer<int32_t> device_finite(std::vector<int32_t>{finite});
  AdamW<T> args{.parameter = rounded.data(),
                .master = nullptr,
                .first_moment = device_first.data(),
                .second_moment = device_second.data(),
                .gradient = device_gradient.data(),
                .begin = range.begin,
                .end = range.end,
                .learning_rate = expected.learning_rate,
                .beta1 = expected.beta1,
                .beta2 = expected.beta2,
                .epsilon = expected.epsilon,
                .weight_decay = expected.weight_decay,
                .step = expected.step,
                .clip_factor = clip == 1 ? nullptr : device_clip.data(),
                .finite = device_finite.data()};
  if constexpr (kRounds) {
    args.master = exact.data();
  } else {
    args.parameter = exact.data();
  }
  kernels::cuda::adamw(args, nullptr);

  // About 14 roundings lead to an update of at most 0.01 / (1 - 0.9^3) * 5 / sqrt(0.45) < 0.3, and two more
  // to a parameter; three to each moment, of values below 5 and 25.
  const auto parameters = exact.values();
  expect_near(parameters, p, (14 * 0.3 + 2) * 0x1p-24, "parameter");
  expect_near(device_first.values(), m, 4 * 5 * 0x1p-24, "first moment");
  expect_near(device_second.values(), v, 4 * 25 * 0x1p-24, "second moment");
  if constexpr (kRounds) {
    const auto copy = rounded.values();
    for (size_t i = 0; i < copy.size(); ++i) {
      const auto at = static_cast<int64_t>(i);
      const bool written = finite != 0 && at >= range.begin && at < range.end;
      ASSERT_EQ(copy[i].bits, (written ? bf16(parameters[i]) : stale[i]).bits) << i;
    }
  }
}

class AdamWCuda : public CudaTest {};

// One element, one whole tile, and whole tiles between parts of tiles, within and across vectors.
constexpr Range kRanges[] = {{9, 5, 6},       {4100, 0, 4096}, {9000, 3, 8999},
                             {5000, 8, 5000}, {4097, 0, 4097}, {20, 7, 7}};

TEST_F(AdamWCuda, SinglePrecisionAgreesWithTheCpuInDouble) {
  for (const Range& range : kRanges) check_step<float>(range, 0.37, 1);
}

TEST_F(AdamWCuda, BfloatParametersAreTheirMastersRounded) {
  for (const Range& range : kRanges) check_step<bf16>(range, 0.37, 1);
}

TEST_F(AdamWCuda, ArenasNeedNotBeAligned) {
  check_step<float>({5000, 2, 4999, 1}, 1, 1);
  check_step<bf16>({5000, 2, 4999, 3}, 1, 1);
}

TEST_F(AdamWCuda, AClearedFlagSkipsTheUpdate) {
  check_step<float>({4500, 1, 4500}, 0.37, 0);
  check_step<bf16>({4500, 1, 4500}, 0.37, 0);
}

TEST_F(AdamWCuda, RefusesMastersOfUnroundedParameters) {
  float value = 0;
  AdamW<float> args{};
  args.parameter = args.master = &value;
  args.end = args.step = 1;
  args.epsilon = 1;
  EXPECT_THROW(kernels::cuda::adamw(args, nullptr), Error);
  args.master = nullptr;
  args.step = 0;
  EXPECT_THROW(kernels::cuda::adamw(args, nullptr), Error);
}

}  // namespace
}  // namespace prospect::test
