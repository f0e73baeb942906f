#include "kernels/rotary/rotary.h"

#include <cmath>

#include "kernels/common/error.h"
#include "tests/support/device_case.h"

namespace prospect::test {
namespace {

struct RowsShape {
  int64_t tokens, heads, kv_heads, head_dim;
  int64_t columns() const { return (heads + 2 * kv_heads) * head_dim; }
};

/// Several sequences, one of them far along.
std::vector<int32_t> positions(int64_t tokens) {
  std::vector<int32_t> result;
  for (int64_t i = 0; i < tokens; ++i) {
    result.push_back(static_cast<int32_t>(i % 3 == 2 ? 100'000 + i : i % 5));
  }
  return result;
}

std::vector<double> frequencies(int64_t head_dim) {
  std::vector<double> result;
  for (int64_t i = 0; i < head_dim / 2; ++i) {
    result.push_back(std::pow(10'000.0, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim)));
  }
  return result;
}

/// skip: the arrays begin that many elements behind an aligned place.
template <class T>
void check(RowsShape shape, size_t skip, GradMode mode) {
  SCOPED_TRACE(testing::Message() << shape.tokens << " tokens, " << shape.heads << " + 2 * " << shape.kv_heads
                                  << " heads of " << shape.head_dim);
  const int64_t count = shape.tokens * shape.columns();
  const auto x = random_values<T>(count, 1), dy = random_values<T>(count, 2),
             before = random_values<T>(count, 3);
  const auto exact_x = doubles(x), exact_dy = doubles(dy);
  std::vector<double> y(x.size()), scratch(static_cast<size_t>(shape.tokens * shape.head_dim));
  auto dx = doubles(before);
  const auto position = positions(shape.tokens);
  const auto frequency = frequencies(shape.head_dim);
  const kernels::RotaryRows<double> rows{.scratch = scratch.data(),
                                         .positions = position.data(),
                                         .inverse_frequencies = frequency.data(),
                                         .tokens = shape.tokens,
                                         .heads = shape.heads,
                                         .kv_heads = shape.kv_heads,
                                         .head_dim = shape.head_dim};
  kernels::cpu::rotary_forward<double>({.y = y.data(), .x = exact_x.data(), .rows = rows});
  kernels::cpu::rotary_backward<double>(
      {.dx = dx.data(), .dx_mode = mode, .dy = exact_dy.data(), .rows = rows});

  DeviceBuffer<T> device_x(x, skip), device_y(x.size(), skip), device_dy(dy, skip), device_dx(before, skip);
  DeviceBuffer<int32_t> device_position(position);
  DeviceBuffer<double> device_frequency(frequency);
  const kernels::RotaryRows<T> device_rows{.scratch = nullptr,
                                           .positions = device_position.data(),
                                           .inverse_frequencies = device_frequency.data(),
                                           .tokens = shape.tokens,
                                           .heads = shape.heads,
                                           .kv_heads = shape.kv_heads,
                                           .head_dim = shape.head_dim};
  kernels::cuda::rotary_forward<T>({.y = device_y.data(), .x = device_x.data(), .rows = device_rows},
                                   nullptr);
  kernels::cuda::rotary_backward<T>(
      {.dx = device_dx.data(), .dx_mode = mode, .dy = device_dy.data(), .rows = device_rows}, nullptr);
  // Two products of |x| < 5 and a cosine or sine within 2e-7, and their sum: three roundings.
  const double tolerance = 2 * 5 * (2e-7 + 3 * 0x1p-24) + unit<T>();
  expect_near(device_y.values(), y, tolerance, "y");
  expect_near(device_dx.values(), dx, mode == GradMode::Ignore ? 0 : tolerance, "dx");
}

class RotaryCuda : public CudaTest {};

// One token; groups of heads; tokens that fill two blocks and a part of a third; halves of a head that are no
// whole number of vectors; a head of one pair; a half longer than the block.
constexpr RowsShape kShapes[] = {{1, 1, 1, 64}, {9, 4, 2, 64}, {5, 2, 1, 128},  {4, 1, 1, 80},
                                 {3, 3, 1, 24}, {6, 2, 2, 2},  {2, 1, 1, 1040}, {5, 1, 1, 16}};

TEST_F(RotaryCuda, SinglePrecisionAgreesWithTheCpuInDouble) {
  for (const RowsShape& shape : kShapes) check<float>(shape, 0, GradMode::Overwrite);
}

TEST_F(RotaryCuda, BfloatAgreesWithTheCpuInDouble) {
  for (const RowsShape& shape : kShapes) check<bf16>(shape, 0, GradMode::Overwrite);
}

TEST_F(RotaryCuda, ArraysNeedNotBeAligned) {
  check<float>({3, 2, 1, 16}, 1, GradMode::Overwrite);
  check<bf16>({3, 2, 1, 16}, 3, GradMode::Accumulate);
}

TEST_F(RotaryCuda, GradientsAccumulateOrStayAsTheyAre) {
  for (const GradMode mode : {GradMode::Accumulate, GradMode::Ignore}) {
    check<float>({5, 2, 1, 16}, 0, mode);
    check<bf16>({5, 2, 1, 16}, 0, mode);
  }
}

TEST_F(RotaryCuda, TooLongHeadsAreRefused) {
  kernels::RotaryForward<float> args{};
  args.rows.tokens = args.rows.heads = 1;
  args.rows.head_dim = 4096;
  EXPECT_THROW(kernels::cuda::rotary_forward(args, nullptr), Error);
}

}  // namespace
}  // namespace prospect::test
