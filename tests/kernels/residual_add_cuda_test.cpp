#include "kernels/residual_add/residual_add.h"

#include "tests/support/device_case.h"

namespace prospect::test {
namespace {

/// skip: the arrays begin that many elements behind an aligned place.
template <class T>
void check_forward(int64_t count, size_t skip) {
  const auto x = random_values<T>(count, 1), branch = random_values<T>(count, 2);
  const auto exact_x = doubles(x), exact_branch = doubles(branch);
  std::vector<double> y(x.size());
  kernels::cpu::residual_add_forward<double>(
      {.y = y.data(), .x = exact_x.data(), .branch = exact_branch.data(), .count = count});
  DeviceBuffer<T> device_y(y.size(), skip), device_x(x, skip), device_branch(branch, skip);
  kernels::cuda::residual_add_forward<T>(
      {.y = device_y.data(), .x = device_x.data(), .branch = device_branch.data(), .count = count}, nullptr);
  // One sum, rounded once to float and once to T.
  expect_near(device_y.values(), y, 0x1p-24 + unit<T>(), "y");
}

template <class T>
void check_backward(int64_t count, size_t skip, GradMode dx_mode, GradMode dbranch_mode) {
  const auto dy = random_values<T>(count, 3), dx_before = random_values<T>(count, 4),
             dbranch_before = random_values<T>(count, 5);
  const auto exact_dy = doubles(dy);
  auto dx = doubles(dx_before), dbranch = doubles(dbranch_before);
  kernels::cpu::residual_add_backward<double>({.dx = dx.data(),
                                               .dx_mode = dx_mode,
                                               .dbranch = dbranch.data(),
                                               .dbranch_mode = dbranch_mode,
                                               .dy = exact_dy.data(),
                                               .count = count});
  DeviceBuffer<T> device_dx(dx_before, skip), device_dbranch(dbranch_before, skip), device_dy(dy, skip);
  const bool has_dbranch = dbranch_mode != GradMode::Ignore;
  kernels::cuda::residual_add_backward<T>({.dx = device_dx.data(),
                                           .dx_mode = dx_mode,
                                           .dbranch = has_dbranch ? device_dbranch.data() : nullptr,
                                           .dbranch_mode = dbranch_mode,
                                           .dy = device_dy.data(),
                                           .count = count},
                                          nullptr);
  // A copy is exact; a sum is rounded as in forward.
  const auto tolerance = [](GradMode mode) { return mode == GradMode::Accumulate ? 0x1p-24 + unit<T>() : 0; };
  expect_near(device_dx.values(), dx, tolerance(dx_mode), "dx");
  expect_near(device_dbranch.values(), dbranch, tolerance(dbranch_mode), "dbranch");
}

class ResidualAddCuda : public CudaTest {};

// One element, less than a vector, one vector, vectors and a rest, a ragged last warp, three tiles.
constexpr int64_t kCounts[] = {1, 3, 8, 129, 520, 8300};

TEST_F(ResidualAddCuda, SumsAgreeWithTheCpuInDouble) {
  for (const int64_t count : kCounts) {
    SCOPED_TRACE(count);
    check_forward<float>(count, 0);
    check_forward<bf16>(count, 0);
  }
}

TEST_F(ResidualAddCuda, BothGradientsAreCopies) {
  for (const int64_t count : kCounts) {
    SCOPED_TRACE(count);
    check_backward<float>(count, 0, GradMode::Overwrite, GradMode::Overwrite);
    check_backward<bf16>(count, 0, GradMode::Overwrite, GradMode::Overwrite);
  }
}

TEST_F(ResidualAddCuda, ArraysNeedNotBeAligned) {
  check_forward<float>(131, 1);
  check_forward<bf16>(131, 3);
  check_backward<float>(131, 1, GradMode::Overwrite, GradMode::Accumulate);
  check_backward<bf16>(131, 3, GradMode::Accumulate, GradMode::Overwrite);
}

TEST_F(ResidualAddCuda, EachGradientHasAModeOfItsOwn) {
  for (const GradMode dx_mode : {GradMode::Accumulate, GradMode::Ignore}) {
    for (const GradMode dbranch_mode : {GradMode::Overwrite, GradMode::Ignore}) {
      check_backward<float>(140, 0, dx_mode, dbranch_mode);
      check_backward<bf16>(140, 0, dx_mode, dbranch_mode);
    }
  }
}

}  // namespace
}  // namespace prospect::test
