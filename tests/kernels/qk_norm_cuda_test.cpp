#include "kernels/qk_norm/qk_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/common/device_attribute.h"
#include "kernels/common/error.h"
#include "tests/support/device_case.h"

namespace prospect::test {
namespace {

using kernels::QkNormShape;

/// Forward and backward on the device beside the same on the CPU in double, with the values that T holds.
template <class T>
class QkNormCase {
 public:
  /// skip: the arrays begin that many elements behind an aligned place.
  QkNormCase(QkNormShape shape, size_t skip) : shape_(shape), skip_(skip) {}

  void run(GradMode mode) {
    forward();
    backward(mode);
  }

 private:
  static constexpr double kEpsilon = 1e-5;
  /// A sum over a head is a chain of 16 terms in a thread and a tree over at most 32 lanes.
  static constexpr double kHeadSum = 21 * 0x1p-24;

  void forward() {
    const auto x = doubles(x_), query_weight = doubles(query_weight_), key_weight = doubles(key_weight_);
    std::vector<double> y(x.size());
    rstd_.resize(static_cast<size_t>(shape_.tokens * shape_.normalised()));
    kernels::cpu::qk_norm_forward<double>({.y = y.data(),
                                           .rstd = rstd_.data(),
                                           .x = x.data(),
                                           .query_weight = query_weight.data(),
                                           .key_weight = key_weight.data(),
                                           .shape = shape_,
                                           .epsilon = kEpsilon});
    DeviceBuffer<T> device_y(x_.size(), skip_), device_x(x_, skip_), device_query(query_weight_, skip_),
        device_key(key_weight_, skip_);
    DeviceBuffer<float> rstd(rstd_.size());
    kernels::cuda::qk_norm_forward<T>({.y = device_y.data(),
                                       .rstd = rstd.data(),
                                       .x = device_x.data(),
                                       .query_weight = device_query.data(),
                                       .key_weight = device_key.data(),
                                       .shape = shape_,
                                       .epsilon = kEpsilon},
                                      nullptr);
    // Squares do not cancel, so rstd has half the relative error of their sum and its own four roundings; y
    // is a product of it.
    expect_near(device_y.values(), y, kHeadSum + unit<T>(), "y");
    expect_near(rstd.values(), rstd_, kHeadSum, "rstd");
  }

  void backward(GradMode mode) {
    const int64_t size = shape_.head_dim;
    const auto x = doubles(x_), query_weight = doubles(query_weight_), key_weight = doubles(key_weight_),
               dy = doubles(dy_);
    const auto dx_before = random_values<T>(static_cast<int64_t>(x_.size()), 6),
               dquery_before = random_values<T>(size, 7), dkey_before = random_values<T>(size, 8);
    auto dx = doubles(dx_before), dquery = doubles(dquery_before), dkey = doubles(dkey_before);
    std::vector<double> scratch(
        static_cast<size_t>(kernels::cpu::qk_norm_backward_scratch_bytes<double>(size)) / sizeof(double));
    kernels::cpu::qk_norm_backward<double>({.dx = dx.data(),
                                            .dx_mode = mode,
                                            .dquery_weight = dquery.data(),
                                            .dquery_weight_mode = mode,
                                            .dkey_weight = dkey.data(),
                                            .dkey_weight_mode = mode,
                                            .scratch = scratch.data(),
                                            .dy = dy.data(),
                                            .x = x.data(),
                                            .query_weight = query_weight.data(),
                                            .key_weight = key_weight.data(),
                                            .rstd = rstd_.data(),
                                            .shape = shape_});
    DeviceBuffer<T> device_dx(dx_before, skip_), device_dquery(dquery_before), device_dkey(dkey_before),
        device_x(x_, skip_), device_query(query_weight_, skip_), device_key(key_weight_, skip_),
        device_dy(dy_, skip_);
    DeviceBuffer<float> rstd(std::vector<float>(rstd_.begin(), rstd_.end())),
        device_scratch(static_cast<size_t>(kernels::cuda::qk_norm_backward_scratch_bytes(size)) /
                       sizeof(float));
    kernels::cuda::qk_norm_backward<T>({.dx = device_dx.data(),
                                        .dx_mode = mode,
                                        .dquery_weight = device_dquery.data(),
                                        .dquery_weight_mode = mode,
                                        .dkey_weight = device_dkey.data(),
                                        .dkey_weight_mode = mode,
                                        .scratch = device_scratch.data(),
                                        .dy = device_dy.data(),
                                        .x = device_x.data(),
                                        .query_weight = device_query.data(),
                                        .key_weight = device_key.data(),
                                        .rstd = rstd.data(),
                                        .shape = shape_},
                                       nullptr);
    if (mode == GradMode::Ignore) {
      expect_near(device_dx.values(), dx, 0, "dx");
      expect_near(device_dquery.values(), dquery, 0, "dquery_weight");
      expect_near(device_dkey.values(), dkey, 0, "dkey_weight");
      return;
    }
    // dx = rstd (g - x^ mean(g x^)), |g| < 16: g is rounded three times, x^ mean(g x^) as the sum over the
    // head and seven times more. The mean is at most the root of mean(g^2), so below 4 beside |x^| < 4, or,
    // in a head of two elements, below 16 beside |x^| < 1.5.
    const double rstd_most = rstd_.empty() ? 0 : *std::max_element(rstd_.begin(), rstd_.end());
    expect_near(device_dx.values(), dx, rstd_most * 24 * (kHeadSum + 10 * 0x1p-24) + unit<T>(), "dx");
    // A lane's heads in a chain, the eight warps of a block, a tree over lanes, an eighth of the blocks in a
    // chain and the eight of those; a term has two roundings. There are two blocks on each multiprocessor; a
    // lane has every so manieth of at least eight heads.
    const double blocks = 2 * kernels::cuda::multiprocessors("test");
    const double of_lane =
        static_cast<double>(shape_.tokens * (shape_.heads + 2 * shape_.kv_heads)) / (blocks * 8);
    const double tolerance =
        (of_lane + 1 + 8 + 5 + (blocks / 8 + 1) + 8 + 2) * 0x1p-24 * largest_sum() + unit<T>();
    expect_near(device_dquery.values(), dquery, tolerance, "dquery_weight");
    expect_near(device_dkey.values(), dkey, tolerance, "dkey_weight");
  }

  /// The largest sum over heads, of queries and keys together, of |dy x^|.
  double largest_sum() const {
    std::vector<double> sums(static_cast<size_t>(shape_.head_dim));
    for (int64_t token = 0; token < shape_.tokens; ++token) {
      for (int64_t head = 0; head < shape_.normalised(); ++head) {
        const int64_t first = token * shape_.columns() + head * shape_.head_dim;
        const double rstd = rstd_[static_cast<size_t>(token * shape_.normalised() + head)];
        for (size_t c = 0; c < sums.size(); ++c) {
          const size_t at = static_cast<size_t>(first) + c;
          sums[c] += std::fabs(static_cast<double>(load(dy_[at])) * static_cast<double>(load(x_[at]))) * rstd;
        }
      }
    }
    return sums.empty() ? 0 : *std::max_element(sums.begin(), sums.end());
  }

  QkNormShape shape_;
  size_t skip_;
  std::vector<T> x_ = random_values<T>(shape_.tokens * shape_.columns(), 1),
                 dy_ = random_values<T>(shape_.tokens * shape_.columns(), 2),
                 query_weight_ = random_values<T>(shape_.head_dim, 3),
                 key_weight_ = random_values<T>(shape_.head_dim, 4);
  std::vector<double> rstd_;
};

class QkNormCuda : public CudaTest {};

// One token; groups of heads; more heads than a block has; heads on 1 to 32 lanes, ragged, of odd size, and
// the longest there are.
constexpr QkNormShape kShapes[] = {{1, 1, 1, 64},  {9, 4, 2, 64}, {5, 2, 1, 128}, {3, 2, 1, 80},
                                   {7, 3, 1, 24},  {6, 2, 2, 2},  {70, 2, 1, 16}, {2, 2, 1, 33},
                                   {2, 1, 1, 257}, {1, 1, 1, 512}};

TEST_F(QkNormCuda, SinglePrecisionAgreesWithTheCpuInDouble) {
  for (const QkNormShape& shape : kShapes) {
    SCOPED_TRACE(testing::Message() << shape.tokens << " tokens, heads of " << shape.head_dim);
    QkNormCase<float>(shape, 0).run(GradMode::Overwrite);
  }
}

TEST_F(QkNormCuda, BfloatAgreesWithTheCpuInDouble) {
  for (const QkNormShape& shape : kShapes) {
    SCOPED_TRACE(testing::Message() << shape.tokens << " tokens, heads of " << shape.head_dim);
    QkNormCase<bf16>(shape, 0).run(GradMode::Overwrite);
  }
}

TEST_F(QkNormCuda, BlocksTakeSeveralHeadsInBackward) {
  QkNormCase<bf16>({540, 2, 1, 264}, 0).run(GradMode::Overwrite);
}

TEST_F(QkNormCuda, ArraysNeedNotBeAligned) {
  QkNormCase<float>({3, 2, 1, 32}, 1).run(GradMode::Overwrite);
  QkNormCase<bf16>({3, 2, 1, 32}, 3).run(GradMode::Accumulate);
}

TEST_F(QkNormCuda, GradientsAccumulateOrStayAsTheyAre) {
  for (const GradMode mode : {GradMode::Accumulate, GradMode::Ignore}) {
    QkNormCase<float>({4, 2, 1, 48}, 0).run(mode);
    QkNormCase<bf16>({4, 2, 1, 48}, 0).run(mode);
  }
}

TEST_F(QkNormCuda, WeightGradientsOfNoTokensAreZero) {
  QkNormCase<float>({0, 2, 1, 40}, 0).run(GradMode::Overwrite);
}

TEST_F(QkNormCuda, TooLongHeadsAreRefused) {
  kernels::QkNormForward<float> args{};
  args.shape = {1, 1, 1, 513};
  EXPECT_THROW(kernels::cuda::qk_norm_forward(args, nullptr), Error);
}

}  // namespace
}  // namespace prospect::test
