#include "kernels/gelu/gelu.h"

#include "tests/support/device_case.h"

namespace prospect::test {
namespace {

/// skip: the arrays begin that many elements behind an aligned place.
template <class T>
void check(const std::vector<T>& x, GeluKind kind, size_t skip, GradMode mode) {
  const auto count = static_cast<int64_t>(x.size());
  SCOPED_TRACE(testing::Message() << count << (kind == GeluKind::Exact ? " exact" : " tanh"));
  const auto dy = random_values<T>(count, 2), before = random_values<T>(count, 3);
  const auto exact_x = doubles(x), exact_dy = doubles(dy);
  std::vector<double> y(x.size());
  auto dx = doubles(before);
  kernels::cpu::gelu_forward<double>({.y = y.data(), .x = exact_x.data(), .count = count, .kind = kind});
  kernels::cpu::gelu_backward<double>({.dx = dx.data(),
                                       .dx_mode = mode,
                                       .dy = exact_dy.data(),
                                       .x = exact_x.data(),
                                       .count = count,
                                       .kind = kind});
  DeviceBuffer<T> device_x(x, skip), device_y(x.size(), skip), device_dy(dy, skip), device_dx(before, skip);
  kernels::cuda::gelu_forward<T>({.y = device_y.data(), .x = device_x.data(), .count = count, .kind = kind},
                                 nullptr);
  kernels::cuda::gelu_backward<T>({.dx = device_dx.data(),
                                   .dx_mode = mode,
                                   .dy = device_dy.data(),
                                   .x = device_x.data(),
                                   .count = count,
                                   .kind = kind},
                                  nullptr);
  // y = x s, dy/dx = s + x s', where s or its complement is an exponential, with two units in the last place
  // (four roundings), times a reciprocal (two) or, where it is exact, times the tail (3e-7, five): about 12
  // roundings. The exponential's argument, up to 20 where s still changes, has four, which s' |argument| <
  // 0.3 passes on; x s' < 0.7 counts as s. |dy| < 5.
  const double roundings = 24 * 0x1p-24;
  expect_near(device_y.values(), y, roundings + unit<T>(), "y");
  const bool ignored = mode == GradMode::Ignore;
  expect_near(device_dx.values(), dx, ignored ? 0 : 5 * roundings + unit<T>(), "dx");
}

class GeluCuda : public CudaTest {};

constexpr GeluKind kKinds[] = {GeluKind::Exact, GeluKind::Tanh};

// One element, less than a vector, one vector, vectors and a rest, a ragged last warp, three tiles.
constexpr int64_t kCounts[] = {1, 3, 8, 129, 520, 8300};

TEST_F(GeluCuda, SinglePrecisionAgreesWithTheCpuInDouble) {
  for (const GeluKind kind : kKinds) {
    for (const int64_t count : kCounts) check(random_values<float>(count, 1), kind, 0, GradMode::Overwrite);
  }
}

TEST_F(GeluCuda, BfloatAgreesWithTheCpuInDouble) {
  for (const GeluKind kind : kKinds) {
    for (const int64_t count : kCounts) check(random_values<bf16>(count, 1), kind, 0, GradMode::Overwrite);
  }
}

TEST_F(GeluCuda, AgreesFromOneTailToTheOther) {
  std::vector<float> sweep;
  for (int i = -300; i <= 300; ++i) sweep.push_back(static_cast<float>(i) / 20);
  for (const GeluKind kind : kKinds) check(sweep, kind, 0, GradMode::Overwrite);
}

TEST_F(GeluCuda, KeepsTheDigitsOfSmallNegativeTails) {
  const std::vector<float> x{-3, -5, -7};
  for (const GeluKind kind : kKinds) {
    const auto exact_x = doubles(x);
    std::vector<double> exact(3);
    kernels::cpu::gelu_forward<double>({.y = exact.data(), .x = exact_x.data(), .count = 3, .kind = kind});
    DeviceBuffer<float> device_x(x), y(3);
    kernels::cuda::gelu_forward<float>({.y = y.data(), .x = device_x.data(), .count = 3, .kind = kind},
                                       nullptr);
    // An exponential of up to 43, itself with three relative roundings, the tail's 3e-7 and the rest as
    // above.
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(static_cast<double>(y.values()[i]) / exact[i], 1, (43 * 4 + 12) * 0x1p-24 + 3e-7);
    }
  }
}

TEST_F(GeluCuda, ArraysNeedNotBeAligned) {
  check(random_values<float>(131, 1), GeluKind::Exact, 1, GradMode::Overwrite);
  check(random_values<bf16>(131, 1), GeluKind::Tanh, 3, GradMode::Accumulate);
}

TEST_F(GeluCuda, GradientsAccumulateOrStayAsTheyAre) {
  for (const GeluKind kind : kKinds) {
    for (const GradMode mode : {GradMode::Accumulate, GradMode::Ignore}) {
      check(random_values<float>(140, 1), kind, 0, mode);
      check(random_values<bf16>(140, 1), kind, 0, mode);
    }
  }
}

}  // namespace
}  // namespace prospect::test
