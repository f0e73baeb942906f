#include "kernels/log_softmax_gather_kto/log_softmax_gather_kto.h"

#include <cstring>
#include <type_traits>

#include "tests/support/device_case.h"

namespace prospect::test {
namespace {

using kernels::LogSoftmaxGatherKto;

struct Shape {
  int64_t columns, stride;
  std::vector<int32_t> offsets;  ///< of the sequences' rows
  size_t skip = 0;               ///< of bf16 gradients, in elements
  int64_t rows() const { return offsets.back(); }
  int64_t sequences() const { return std::ssize(offsets) - 1; }
};

/// The device's arrays of a call; gradients in place in float.
template <class T>
class DeviceCase {
 public:
  explicit DeviceCase(const Shape& shape)
      : shape_(shape),
        rows_(static_cast<size_t>(shape.rows())),
        sequences_(static_cast<size_t>(shape.sequences())),
        logits_(random_values<float>(shape.rows() * shape.stride, 1)),
        gradient_(random_values<T>(shape.rows() * shape.stride, 2), shape.skip),
        targets_(targets(shape)),
        offsets_(shape.offsets),
        reference_(random_values<float>(shape.rows(), 3)),
        shares_(normal(shape.sequences(), 4)) {}

  LogSoftmaxGatherKto<T> args() {
    T* gradient = gradient_.data();
    if constexpr (std::is_same_v<T, float>) gradient = logits_.data();
    return {.statistics = {.log_probabilities = log_probabilities_.data(),
                           .log_sum_exp = log_sum_exp_.data(),
                           .entropies = entropies_.data(),
                           .logit_means = means_.data(),
                           .logits = logits_.data(),
                           .targets = targets_.data(),
                           .rows = shape_.rows(),
                           .columns = shape_.columns,
                           .stride = shape_.stride},
            .objective = {.log_ratios = log_ratios_.data(),
                          .values = values_.data(),
                          .slopes = slopes_.data(),
                          .entropy_sums = entropy_sums_.data(),
                          .logit_sums = logit_sums_.data(),
                          .log_probabilities = log_probabilities_.data(),
                          .reference = reference_.data(),
                          .entropies = entropies_.data(),
                          .logit_means = means_.data(),
                          .offsets = offsets_.data(),
                          .labels = nullptr,
                          .z0 = nullptr,
                          .given_slopes = nullptr,
                          .objective = {},
                          .sequences = shape_.sequences(),
                          .finite = finite_.data()},
            .spread = {.row_slopes = row_slopes_.data(),
                       .slopes = slopes_.data(),
                       .shares = shares_.data(),
                       .offsets = offsets_.data(),
                       .sequences = shape_.sequences()},
            .gradient = {.gradient = gradient,
                         .logits = logits_.data(),
                         .log_sum_exp = log_sum_exp_.data(),
                         .row_slopes = row_slopes_.data(),
                         .targets = targets_.data(),
                         .rows = shape_.rows(),
                         .columns = shape_.columns,
                         .stride = shape_.stride}};
  }

  void expect_same_bits(DeviceCase& other) {
    for (auto array : {&DeviceCase::log_probabilities_, &DeviceCase::log_sum_exp_, &DeviceCase::entropies_,
                       &DeviceCase::means_, &DeviceCase::row_slopes_}) {
      EXPECT_EQ((this->*array).values(), (other.*array).values());
    }
    for (auto array : {&DeviceCase::log_ratios_, &DeviceCase::values_, &DeviceCase::slopes_,
                       &DeviceCase::entropy_sums_, &DeviceCase::logit_sums_}) {
      EXPECT_EQ((this->*array).values(), (other.*array).values());
    }
    const auto gradient = gradient_.values(), other_gradient = other.gradient_.values();
    EXPECT_EQ(std::memcmp(gradient.data(), other_gradient.data(), gradient.size() * sizeof(T)), 0);
    EXPECT_EQ(logits_.values(), other.logits_.values());
    EXPECT_EQ(finite_.values(), other.finite_.values());
  }

 private:
  static std::vector<int32_t> targets(const Shape& shape) {
    std::vector<int32_t> result;
    for (int64_t row = 0; row < shape.rows(); ++row) {
      result.push_back(static_cast<int32_t>(row * 31 % shape.columns));
    }
    return result;
  }

  Shape shape_;
  size_t rows_, sequences_;
  DeviceBuffer<float> logits_;
  DeviceBuffer<T> gradient_;
  DeviceBuffer<int32_t> targets_, offsets_;
  DeviceBuffer<float> reference_;
  DeviceBuffer<double> shares_;
  DeviceBuffer<float> log_probabilities_{rows_}, log_sum_exp_{rows_}, entropies_{rows_}, means_{rows_},
      row_slopes_{rows_};
  DeviceBuffer<double> log_ratios_{sequences_}, values_{sequences_}, slopes_{sequences_},
      entropy_sums_{sequences_}, logit_sums_{sequences_};
  DeviceBuffer<int32_t> finite_{std::vector<int32_t>{1}};
};

template <class T>
void expect_the_four_operations(const Shape& shape, bool fits) {
  DeviceCase<T> at_once(shape), in_turn(shape);
  EXPECT_EQ(kernels::cuda::log_softmax_gather_kto_fits(at_once.args()), fits);
  kernels::cuda::log_softmax_gather_kto(at_once.args(), nullptr);
  const LogSoftmaxGatherKto<T> args = in_turn.args();
  kernels::cuda::log_softmax_gather_forward(args.statistics, nullptr);
  kernels::cuda::kto_forward(args.objective, nullptr);
  kernels::cuda::kto_backward(args.spread, nullptr);
  kernels::cuda::log_softmax_gather_backward(args.gradient, nullptr);
  at_once.expect_same_bits(in_turn);
}

class LogSoftmaxGatherKtoCuda : public CudaTest {};

// Rows that begin anywhere and end between vectors; sequences that share blocks and others that are spread
// over several; one without rows.
const std::vector<int32_t> kFew{0, 1, 1, 5, 12}, kMany{0, 2, 29, 30};

TEST_F(LogSoftmaxGatherKtoCuda, OneLaunchGivesTheBitsOfFour) {
  for (const Shape& shape : {Shape{77, 77, kFew}, Shape{64, 80, kFew}, Shape{1000, 1003, kFew}}) {
    SCOPED_TRACE(shape.columns);
    expect_the_four_operations<float>(shape, true);
    expect_the_four_operations<bf16>(shape, true);
  }
}

TEST_F(LogSoftmaxGatherKtoCuda, BlocksHoldSeveralRows) {
  // More blocks with a row each than four multiprocessors take; a device with more of them spreads the rows.
  expect_the_four_operations<bf16>({5000, 5000, kMany}, true);
  expect_the_four_operations<float>({5000, 5001, kMany}, true);
}

TEST_F(LogSoftmaxGatherKtoCuda, GradientsMayLackVectorsInCommonWithLogits) {
  expect_the_four_operations<bf16>({100, 100, kFew, 1}, true);
}

TEST_F(LogSoftmaxGatherKtoCuda, LongerRowsTakeFourLaunches) {
  expect_the_four_operations<bf16>({60'000, 60'000, {0, 1, 2}}, false);
}

TEST_F(LogSoftmaxGatherKtoCuda, SequencesWithoutRowsHaveALogRatioOfZero) {
  const Shape shape{10, 10, {0, 0, 0}};
  DeviceCase<bf16> none(shape), expected(shape);
  kernels::cuda::log_softmax_gather_kto(none.args(), nullptr);
  kernels::cuda::kto_forward(expected.args().objective, nullptr);
  none.expect_same_bits(expected);
}

}  // namespace
}  // namespace prospect::test
