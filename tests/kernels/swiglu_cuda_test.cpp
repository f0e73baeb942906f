#include "kernels/swiglu/swiglu.h"

#include "tests/support/device_case.h"

namespace prospect::test {
namespace {

struct Shape2 {
  int64_t rows, columns;
};

/// skip: the arrays begin that many elements behind an aligned place.
template <class T>
void check_forward(Shape2 shape, size_t skip) {
  const auto [rows, columns] = shape;
  const auto gate_up = random_values<T>(rows * 2 * columns, 1);
  const auto exact = doubles(gate_up);
  std::vector<double> y(static_cast<size_t>(rows * columns));
  kernels::cpu::swiglu_forward<double>(
      {.y = y.data(), .gate_up = exact.data(), .rows = rows, .columns = columns});
  DeviceBuffer<T> device_y(y.size(), skip), device_gate_up(gate_up, skip);
  kernels::cuda::swiglu_forward<T>(
      {.y = device_y.data(), .gate_up = device_gate_up.data(), .rows = rows, .columns = columns}, nullptr);
  // The sigmoid of |gate| < 5 has a relative error of 13 roundings, two products follow.
  expect_near(device_y.values(), y, 15 * 0x1p-24 + unit<T>(), "y");
}

template <class T>
void check_backward(Shape2 shape, size_t skip, GradMode mode) {
  const auto [rows, columns] = shape;
  const auto gate_up = random_values<T>(rows * 2 * columns, 1), dy = random_values<T>(rows * columns, 2),
             before = random_values<T>(rows * 2 * columns, 3);
  const auto exact = doubles(gate_up), exact_dy = doubles(dy);
  auto expected = doubles(before);
  kernels::cpu::swiglu_backward<double>({.dgate_up = expected.data(),
                                         .dgate_up_mode = mode,
                                         .dy = exact_dy.data(),
                                         .gate_up = exact.data(),
                                         .rows = rows,
                                         .columns = columns});
  DeviceBuffer<T> dgate_up(before, skip), device_dy(dy, skip), device_gate_up(gate_up, skip);
  kernels::cuda::swiglu_backward<T>({.dgate_up = dgate_up.data(),
                                     .dgate_up_mode = mode,
                                     .dy = device_dy.data(),
                                     .gate_up = device_gate_up.data(),
                                     .rows = rows,
                                     .columns = columns},
                                    nullptr);
  if (mode == GradMode::Ignore) return expect_near(dgate_up.values(), expected, 0, "dgate_up");
  // dgate = dy up (s + s gate (1 - s)), |dy up| < 25: s as in forward and two products; the second term is
  // below 0.3 and has both sigmoids' errors and four roundings. dup is a product as in forward; sums are
  // rounded.
  expect_near(dgate_up.values(), expected, 25 * (15 + 0.3 * 30 + 2) * 0x1p-24 + unit<T>(), "dgate_up");
}

template <class T>
void check(Shape2 shape, size_t skip, GradMode mode) {
  SCOPED_TRACE(testing::Message() << shape.rows << " x " << shape.columns);
  check_forward<T>(shape, skip);
  check_backward<T>(shape, skip, mode);
}

class SwigluCuda : public CudaTest {};

// One row, one column, one vector, odd columns, a ragged last warp, two and three tiles.
constexpr Shape2 kShapes[] = {{1, 64}, {3, 1}, {2, 8}, {5, 129}, {3, 520}, {2, 4864}, {1, 8200}};

TEST_F(SwigluCuda, SinglePrecisionAgreesWithTheCpuInDouble) {
  for (const Shape2 shape : kShapes) check<float>(shape, 0, GradMode::Overwrite);
}

TEST_F(SwigluCuda, BfloatAgreesWithTheCpuInDouble) {
  for (const Shape2 shape : kShapes) check<bf16>(shape, 0, GradMode::Overwrite);
}

TEST_F(SwigluCuda, ArraysNeedNotBeAligned) {
  check<float>({3, 64}, 1, GradMode::Overwrite);
  check<bf16>({3, 64}, 3, GradMode::Accumulate);
}

TEST_F(SwigluCuda, GradientsAccumulateOrStayAsTheyAre) {
  for (const GradMode mode : {GradMode::Accumulate, GradMode::Ignore}) {
    check<float>({4, 96}, 0, mode);
    check<bf16>({4, 96}, 0, mode);
  }
}

TEST_F(SwigluCuda, SigmoidsOfLargeGatesStayFinite) {
  // e^200 is no float; the gradient of a closed gate is 0, of an open one up.
  DeviceBuffer<float> gate_up(std::vector<float>{-200, 200, 2, 3}), dy(std::vector<float>{1, 1}), y(2),
      dgate_up(4);
  kernels::cuda::swiglu_forward<float>({.y = y.data(), .gate_up = gate_up.data(), .rows = 1, .columns = 2},
                                       nullptr);
  kernels::cuda::swiglu_backward<float>({.dgate_up = dgate_up.data(),
                                         .dgate_up_mode = GradMode::Overwrite,
                                         .dy = dy.data(),
                                         .gate_up = gate_up.data(),
                                         .rows = 1,
                                         .columns = 2},
                                        nullptr);
  EXPECT_EQ(y.values(), (std::vector<float>{0, 600}));
  EXPECT_EQ(dgate_up.values(), (std::vector<float>{0, 3, 0, 200}));
}

}  // namespace
}  // namespace prospect::test
