#include "kernels/rmsnorm/rmsnorm.h"

#include <algorithm>
#include <cmath>

#include "kernels/common/device_attribute.h"
#include "kernels/common/error.h"
#include "tests/support/device_case.h"

namespace prospect::test {
namespace {

struct Shape2 {
  int64_t rows, columns;
};

/// Forward and backward on the device beside the same on the CPU in double, with the values that T holds.
template <class T>
class RmsNormCase {
 public:
  /// skip: the arrays begin that many elements behind an aligned place.
  RmsNormCase(Shape2 shape, size_t skip) : rows_(shape.rows), columns_(shape.columns), skip_(skip) {}

  void run(GradMode mode) {
    forward();
    backward(mode);
  }

 private:
  static constexpr double kEpsilon = 1e-5;
  /// A sum over a row is a chain of 16 terms in a thread and two trees over 32 lanes.
  static constexpr double kRowSum = 26 * 0x1p-24;

  void forward() {
    const auto x = doubles(x_), weight = doubles(weight_);
    std::vector<double> y(x.size());
    rstd_.resize(static_cast<size_t>(rows_));
    kernels::cpu::rmsnorm_forward<double>({.y = y.data(),
                                           .rstd = rstd_.data(),
                                           .x = x.data(),
                                           .weight = weight.data(),
                                           .rows = rows_,
                                           .columns = columns_,
                                           .epsilon = kEpsilon});
    DeviceBuffer<T> device_y(x_.size(), skip_), device_x(x_, skip_), device_weight(weight_, skip_);
    DeviceBuffer<float> rstd(rstd_.size());
    kernels::cuda::rmsnorm_forward<T>({.y = device_y.data(),
                                       .rstd = rstd.data(),
                                       .x = device_x.data(),
                                       .weight = device_weight.data(),
                                       .rows = rows_,
                                       .columns = columns_,
                                       .epsilon = kEpsilon},
                                      nullptr);
    // Squares do not cancel, so rstd has half the relative error of their sum and its own four roundings; y
    // is a product of it.
    expect_near(device_y.values(), y, kRowSum + unit<T>(), "y");
    expect_near(rstd.values(), rstd_, kRowSum, "rstd");
  }

  void backward(GradMode mode) {
    const auto x = doubles(x_), weight = doubles(weight_), dy = doubles(dy_);
    const auto dx_before = random_values<T>(rows_ * columns_, 6),
               dweight_before = random_values<T>(columns_, 7);
    auto dx = doubles(dx_before), dweight = doubles(dweight_before);
    std::vector<double> scratch(
        static_cast<size_t>(kernels::cpu::rmsnorm_backward_scratch_bytes<double>(columns_)) / sizeof(double));
    kernels::cpu::rmsnorm_backward<double>({.dx = dx.data(),
                                            .dx_mode = mode,
                                            .dweight = dweight.data(),
                                            .dweight_mode = mode,
                                            .scratch = scratch.data(),
                                            .dy = dy.data(),
                                            .x = x.data(),
                                            .weight = weight.data(),
                                            .rstd = rstd_.data(),
                                            .rows = rows_,
                                            .columns = columns_});
    DeviceBuffer<T> device_dx(dx_before, skip_), device_dweight(dweight_before), device_x(x_, skip_),
        device_weight(weight_, skip_), device_dy(dy_, skip_);
    DeviceBuffer<float> rstd(std::vector<float>(rstd_.begin(), rstd_.end())),
        device_scratch(static_cast<size_t>(kernels::cuda::rmsnorm_backward_scratch_bytes(columns_)) /
                       sizeof(float));
    kernels::cuda::rmsnorm_backward<T>({.dx = device_dx.data(),
                                        .dx_mode = mode,
                                        .dweight = device_dweight.data(),
                                        .dweight_mode = mode,
                                        .scratch = device_scratch.data(),
                                        .dy = device_dy.data(),
                                        .x = device_x.data(),
                                        .weight = device_weight.data(),
                                        .rstd = rstd.data(),
                                        .rows = rows_,
                                        .columns = columns_},
                                       nullptr);
    if (mode == GradMode::Ignore) {
      expect_near(device_dx.values(), dx, 0, "dx");
      expect_near(device_dweight.values(), dweight, 0, "dweight");
      return;
    }
    // dx = rstd (g - x^ mean(g x^)), |g| < 16: g is rounded three times, x^ mean(g x^) as the sum over the
    // row and seven times more. The mean is at most the root of mean(g^2), so below 4 beside |x^| < 4, or, in
    // a row of one column, below 16 beside |x^| < 1.
    const double rstd_most = rows_ == 0 ? 0 : *std::max_element(rstd_.begin(), rstd_.end());
    expect_near(device_dx.values(), dx, rstd_most * 16 * (kRowSum + 10 * 0x1p-24) + unit<T>(), "dx");
    // A team's rows in a chain, the teams of a block, an eighth of the blocks in a chain, and the eight of
    // those; a term has two roundings. There is a block on each multiprocessor.
    const int64_t blocks = kernels::cuda::multiprocessors("test");
    const auto roundings = static_cast<double>(rows_ / blocks + 1 + 16 + (blocks / 8 + 1) + 8 + 2);
    expect_near(device_dweight.values(), dweight, roundings * 0x1p-24 * largest_sum() + unit<T>(), "dweight");
  }

  /// The largest sum over rows of |dy x^|.
  double largest_sum() const {
    double most = 0;
    for (int64_t column = 0; column < columns_; ++column) {
      double sum = 0;
      for (int64_t row = 0; row < rows_; ++row) {
        const auto at = static_cast<size_t>(row * columns_ + column);
        sum += std::fabs(static_cast<double>(load(dy_[at])) * static_cast<double>(load(x_[at]))) *
               rstd_[static_cast<size_t>(row)];
      }
      most = std::max(most, sum);
    }
    return most;
  }

  int64_t rows_, columns_;
  size_t skip_;
  std::vector<T> x_ = random_values<T>(rows_ * columns_, 1), dy_ = random_values<T>(rows_ * columns_, 2),
                 weight_ = random_values<T>(columns_, 3);
  std::vector<double> rstd_;
};

class RmsNormCuda : public CudaTest {};

// One row, one column, whole vectors, odd columns, a ragged last warp, several warps.
constexpr Shape2 kShapes[] = {{1, 64}, {3, 1}, {2, 8}, {5, 129}, {3, 520}, {2, 1000}};

TEST_F(RmsNormCuda, SinglePrecisionAgreesWithTheCpuInDouble) {
  for (const Shape2 shape : kShapes) {
    SCOPED_TRACE(testing::Message() << shape.rows << " x " << shape.columns);
    RmsNormCase<float>(shape, 0).run(GradMode::Overwrite);
  }
}

TEST_F(RmsNormCuda, BfloatAgreesWithTheCpuInDouble) {
  for (const Shape2 shape : kShapes) {
    SCOPED_TRACE(testing::Message() << shape.rows << " x " << shape.columns);
    RmsNormCase<bf16>(shape, 0).run(GradMode::Overwrite);
  }
}

TEST_F(RmsNormCuda, TeamsTakeSeveralRows) {
  RmsNormCase<float>({1100, 520}, 0).run(GradMode::Overwrite);  // of two warps, in backward
  RmsNormCase<bf16>({270, 4100}, 0).run(GradMode::Overwrite);   // a block to a team, forward too
}

TEST_F(RmsNormCuda, ArraysNeedNotBeAligned) {
  RmsNormCase<float>({3, 64}, 1).run(GradMode::Overwrite);
  RmsNormCase<bf16>({3, 64}, 3).run(GradMode::Accumulate);
}

TEST_F(RmsNormCuda, GradientsAccumulateOrStayAsTheyAre) {
  RmsNormCase<float>({4, 96}, 0).run(GradMode::Accumulate);
  RmsNormCase<bf16>({4, 96}, 0).run(GradMode::Accumulate);
  RmsNormCase<float>({4, 96}, 0).run(GradMode::Ignore);
  RmsNormCase<bf16>({4, 96}, 0).run(GradMode::Ignore);
}

TEST_F(RmsNormCuda, TheWeightGradientOfNoRowsIsZero) {
  RmsNormCase<float>({0, 40}, 0).run(GradMode::Overwrite);
}

TEST_F(RmsNormCuda, TooLongRowsAreRefused) {
  kernels::RmsNormForward<float> args{};
  args.rows = 1;
  args.columns = 8193;
  EXPECT_THROW(kernels::cuda::rmsnorm_forward(args, nullptr), Error);
}

}  // namespace
}  // namespace prospect::test
