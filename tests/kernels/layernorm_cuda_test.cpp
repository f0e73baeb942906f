#include <algorithm>
#include <cmath>

#include "kernels/common/error.h"
#include "kernels/layernorm/layernorm.h"
#include "tests/support/device_case.h"

namespace prospect::test {
namespace {

struct Shape2 {
  int64_t rows, columns;
};

/// One operation on the device beside the same on the CPU in double, with the values that T holds.
template <class T>
class LayerNormCase {
 public:
  /// skip: the arrays begin that many elements behind an aligned place.
  LayerNormCase(Shape2 shape, size_t skip) : rows_(shape.rows), columns_(shape.columns), skip_(skip) {}

  void run(GradMode mode) {
    forward();
    backward(mode);
  }

 private:
  static constexpr double kEpsilon = 1e-5;

  void forward() {
    const auto x = doubles(x_), weight = doubles(weight_), bias = doubles(bias_);
    std::vector<double> y(x.size());
    mean_.resize(static_cast<size_t>(rows_)), rstd_ = mean_;
    kernels::cpu::layernorm_forward<double>({.y = y.data(),
                                             .mean = mean_.data(),
                                             .rstd = rstd_.data(),
                                             .x = x.data(),
                                             .weight = weight.data(),
                                             .bias = bias.data(),
                                             .rows = rows_,
                                             .columns = columns_,
                                             .epsilon = kEpsilon});
    DeviceBuffer<T> device_y(x_.size(), skip_), device_x(x_, skip_), device_weight(weight_, skip_),
        device_bias(bias_, skip_);
    DeviceBuffer<float> mean(mean_.size()), rstd(mean_.size());
    kernels::cuda::layernorm_forward<T>({.y = device_y.data(),
                                         .mean = mean.data(),
                                         .rstd = rstd.data(),
                                         .x = device_x.data(),
                                         .weight = device_weight.data(),
                                         .bias = device_bias.data(),
                                         .rows = rows_,
                                         .columns = columns_,
                                         .epsilon = kEpsilon},
                                        nullptr);
    // The two sums are trees and chains of at most 16 + 10 roundings; the row with one column has variance 0,
    // and its rstd = 1 / sqrt(epsilon) magnifies nothing, because x - mean is exactly 0 there. |x^| *
    // |weight| < 4 * 4.
    const double tolerance = 16 * 26 * 0x1p-24 + 2 * unit<T>();
    expect_near(device_y.values(), y, tolerance, "y");
    expect_near(mean.values(), mean_, 26 * 0x1p-24, "mean");
    expect_near(rstd.values(), rstd_, 64 * 0x1p-24, "rstd");
  }

  void backward(GradMode mode) {
    const auto x = doubles(x_), weight = doubles(weight_), dy = doubles(dy_);
    const auto dx_before = random_values<T>(rows_ * columns_, 6),
               dweight_before = random_values<T>(columns_, 7), dbias_before = random_values<T>(columns_, 8);
    auto dx = doubles(dx_before), dweight = doubles(dweight_before), dbias = doubles(dbias_before);
    std::vector<double> scratch(
        static_cast<size_t>(kernels::cpu::layernorm_backward_scratch_bytes<double>(columns_) /
                            static_cast<int64_t>(sizeof(double))));
    kernels::cpu::layernorm_backward<double>({.dx = dx.data(),
                                              .dx_mode = mode,
                                              .dweight = dweight.data(),
                                              .dweight_mode = mode,
                                              .dbias = dbias.data(),
                                              .dbias_mode = mode,
                                              .scratch = scratch.data(),
                                              .dy = dy.data(),
                                              .x = x.data(),
                                              .weight = weight.data(),
                                              .mean = mean_.data(),
                                              .rstd = rstd_.data(),
                                              .rows = rows_,
                                              .columns = columns_});
    DeviceBuffer<T> device_dx(dx_before, skip_), device_dweight(dweight_before), device_dbias(dbias_before),
        device_x(x_, skip_), device_weight(weight_, skip_), device_dy(dy_, skip_);
    DeviceBuffer<float> mean(std::vector<float>(mean_.begin(), mean_.end())),
        rstd(std::vector<float>(rstd_.begin(), rstd_.end())),
        device_scratch(static_cast<size_t>(kernels::cuda::layernorm_backward_scratch_bytes(columns_)) /
                       sizeof(float));
    kernels::cuda::layernorm_backward<T>({.dx = device_dx.data(),
                                          .dx_mode = mode,
                                          .dweight = device_dweight.data(),
                                          .dweight_mode = mode,
                                          .dbias = device_dbias.data(),
                                          .dbias_mode = mode,
                                          .scratch = device_scratch.data(),
                                          .dy = device_dy.data(),
                                          .x = device_x.data(),
                                          .weight = device_weight.data(),
                                          .mean = mean.data(),
                                          .rstd = rstd.data(),
                                          .rows = rows_,
                                          .columns = columns_},
                                         nullptr);
    if (mode == GradMode::Ignore) {
      expect_near(device_dx.values(), doubles(dx_before), 0, "dx");
      expect_near(device_dweight.values(), doubles(dweight_before), 0, "dweight");
      expect_near(device_dbias.values(), doubles(dbias_before), 0, "dbias");
      return;
    }
    // dx: rstd times three terms of up to 16 in size, each with the roundings of forward's sums. rstd and
    // mean are rounded too, and x - mean cancels. The row of one column has rstd = 316 and dx = 0 by
    // cancellation.
    const double rstd_most = rows_ == 0 ? 0 : *std::max_element(rstd_.begin(), rstd_.end());
    expect_near(device_dx.values(), dx, rstd_most * (16 * 32 * 0x1p-24) + 2 * unit<T>(), "dx");
    // Sums of `rows` terms of up to 16: each rounding is of a partial sum of random signs, below 16
    // sqrt(rows).
    const double sum = 16 * std::sqrt(static_cast<double>(rows_)) * static_cast<double>(rows_ + 2) * 0x1p-24;
    expect_near(device_dweight.values(), dweight, sum + 2 * unit<T>(), "dweight");
    expect_near(device_dbias.values(), dbias, sum + 2 * unit<T>(), "dbias");
  }

  int64_t rows_, columns_;
  size_t skip_;
  std::vector<T> x_ = random_values<T>(rows_ * columns_, 1), dy_ = random_values<T>(rows_ * columns_, 2),
                 weight_ = random_values<T>(columns_, 3), bias_ = random_values<T>(columns_, 4);
  std::vector<double> mean_, rstd_;
};

class LayerNormCuda : public CudaTest {};

// One row, one column, whole vectors, odd columns, a ragged last warp, several warps.
constexpr Shape2 kShapes[] = {{1, 64}, {3, 1}, {2, 8}, {5, 129}, {3, 520}, {2, 1000}};

TEST_F(LayerNormCuda, SinglePrecisionAgreesWithTheCpuInDouble) {
  for (const Shape2 shape : kShapes) {
    SCOPED_TRACE(testing::Message() << shape.rows << " x " << shape.columns);
    LayerNormCase<float>(shape, 0).run(GradMode::Overwrite);
  }
}

TEST_F(LayerNormCuda, BfloatAgreesWithTheCpuInDouble) {
  for (const Shape2 shape : kShapes) {
    SCOPED_TRACE(testing::Message() << shape.rows << " x " << shape.columns);
    LayerNormCase<bf16>(shape, 0).run(GradMode::Overwrite);
  }
}

TEST_F(LayerNormCuda, TeamsTakeSeveralRowsInBackward) {
  LayerNormCase<float>({1100, 520}, 0).run(GradMode::Overwrite);
  LayerNormCase<bf16>({140, 4100}, 0).run(GradMode::Overwrite);
}

TEST_F(LayerNormCuda, ArraysNeedNotBeAligned) {
  LayerNormCase<float>({3, 64}, 1).run(GradMode::Overwrite);
  LayerNormCase<bf16>({3, 64}, 3).run(GradMode::Accumulate);
}

TEST_F(LayerNormCuda, GradientsAccumulateOrStayAsTheyAre) {
  LayerNormCase<float>({4, 96}, 0).run(GradMode::Accumulate);
  LayerNormCase<bf16>({4, 96}, 0).run(GradMode::Accumulate);
  LayerNormCase<float>({4, 96}, 0).run(GradMode::Ignore);
}

TEST_F(LayerNormCuda, ParameterGradientsOfNoRowsAreZero) {
  LayerNormCase<float>({0, 40}, 0).run(GradMode::Overwrite);
}

TEST_F(LayerNormCuda, TooLongRowsAreRefused) {
  kernels::LayerNormForward<float> args{};
  args.rows = 1;
  args.columns = 8193;
  EXPECT_THROW(kernels::cuda::layernorm_forward(args, nullptr), Error);
}

}  // namespace
}  // namespace prospect::test
