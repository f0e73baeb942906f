#include "kernels/head/head.h"

#include <memory>

#include "kernels/matmul/matmul.h"
#include "tests/support/device_case.h"
#include "tests/support/near.h"

namespace prospect::test {
namespace {

using kernels::HeadForward;

constexpr int64_t kColumns = 40, kVocabulary = 77;
/// Five sequences: one without rows, one of seven.
const std::vector<int32_t> kOffsets{0, 2, 2, 9, 10, 12};
const int64_t kRows = kOffsets.back(), kSequences = std::ssize(kOffsets) - 1;

/// A call. What is not given is empty.
struct Inputs {
  std::vector<int32_t> labels{1, 0, 0, 1, 0};
  std::vector<double> z0{0.15, 0.3, -0.2, 0.05, 0}, shares{0.25, 0.5, 0.125, 0.25, 1}, given_slopes;
  bool with_reference = true, with_dhidden = true;
  GradMode dweight_mode = GradMode::Overwrite;
  Objective objective{.beta = 0.3, .desirable_weight = 1.4, .undesirable_weight = 0.8};
  int64_t chunk_rows = 4;
};

/// The arrays of a call: vectors or memory of a device.
template <class T, template <class> class Array>
struct Arrays {
  using C = compute_t<T>;
  Array<double> loss, log_ratios, values, slopes, entropy_sums, logit_sums;
  Array<C> log_probabilities;
  Array<T> dhidden, dweight;
};

template <class T>
using Vector = std::vector<T>;
template <class T>
using OnDevice = DeviceBuffer<T>;

std::vector<int32_t> targets() {
  std::vector<int32_t> result;
  for (int64_t row = 0; row < kRows; ++row) result.push_back(static_cast<int32_t>(row * 31 % kVocabulary));
  return result;
}

/// All but the arrays that differ between host and device.
template <class T>
HeadForward<T> arguments(const Inputs& in, int64_t element_bytes) {
  HeadForward<T> args{};
  args.dweight_mode = in.dweight_mode;
  args.host_offsets = kOffsets.data();
  args.objective = in.objective;
  args.rows = kRows, args.columns = kColumns, args.vocabulary = kVocabulary, args.sequences = kSequences;
  args.chunk_bytes = in.chunk_rows * element_bytes;
  return args;
}

/// One call on the device beside the same on the CPU in double, with the values that T holds.
template <class T>
class HeadCase {
 public:
  explicit HeadCase(const Inputs& in) : in_(in) {}

  void run() {
    SCOPED_TRACE(testing::Message() << "chunks of " << in_.chunk_rows << " rows");
    run_cpu();
    run_cuda();
  }

 private:
  void run_cpu() {
    const auto hidden = doubles(hidden_), weight = doubles(weight_), reference = doubles(reference_);
    const std::vector<double> sequences(static_cast<size_t>(kSequences));
    expected_ = {{0},
                 sequences,
                 sequences,
                 sequences,
                 sequences,
                 sequences,
                 std::vector<double>(static_cast<size_t>(kRows)),
                 std::vector<double>(hidden.size()),
                 doubles(dweight_before_)};
    const std::vector<int32_t> targets = test::targets();
    HeadForward<double> args = arguments<double>(in_, kVocabulary * 8);
    std::vector<std::byte> scratch(static_cast<size_t>(
        kernels::cpu::head_scratch_bytes<double>(kRows, kColumns, kVocabulary, args.chunk_bytes)));
    set_outputs(args, expected_);
    args.scratch = scratch.data();
    args.hidden = hidden.data(), args.weight = weight.data(), args.targets = targets.data();
    args.offsets = kOffsets.data();
    args.reference = in_.with_reference ? reference.data() : nullptr;
    args.labels = in_.labels.empty() ? nullptr : in_.labels.data();
    args.z0 = in_.z0.empty() ? nullptr : in_.z0.data();
    args.shares = in_.shares.empty() ? nullptr : in_.shares.data();
    args.given_slopes = in_.given_slopes.empty() ? nullptr : in_.given_slopes.data();
    kernels::cpu::head_forward(args);
  }

  void run_cuda() {
    const auto sequences = static_cast<size_t>(kSequences), rows = static_cast<size_t>(kRows);
    Arrays<T, OnDevice> out{
        DeviceBuffer<double>(1),         DeviceBuffer<double>(sequences), DeviceBuffer<double>(sequences),
        DeviceBuffer<double>(sequences), DeviceBuffer<double>(sequences), DeviceBuffer<double>(sequences),
        DeviceBuffer<float>(rows),       DeviceBuffer<T>(hidden_.size()), DeviceBuffer<T>(dweight_before_)};
    DeviceBuffer<T> hidden(hidden_), weight(weight_);
    DeviceBuffer<int32_t> targets(test::targets()), offsets(kOffsets), labels(in_.labels),
        finite(std::vector<int32_t>{1});
    DeviceBuffer<float> reference(reference_);
    DeviceBuffer<double> z0(in_.z0), shares(in_.shares), given_slopes(in_.given_slopes);
    // Rows of logits are 80 elements apart.
    HeadForward<T> args = arguments<T>(in_, 80 * (sizeof(T) == 2 ? 6 : 4));
    DeviceBuffer<std::byte> scratch(static_cast<size_t>(
        kernels::cuda::head_scratch_bytes<T>(kRows, kColumns, kVocabulary, args.chunk_bytes)));
    set_outputs(args, out);
    args.scratch = scratch.data();
    args.hidden = hidden.data(), args.weight = weight.data(), args.targets = targets.data();
    args.offsets = offsets.data();
    args.reference = in_.with_reference ? reference.data() : nullptr;
    args.labels = in_.labels.empty() ? nullptr : labels.data();
    args.z0 = in_.z0.empty() ? nullptr : z0.data();
    args.shares = in_.shares.empty() ? nullptr : shares.data();
    args.given_slopes = in_.given_slopes.empty() ? nullptr : given_slopes.data();
    args.finite = finite.data();
    kernels::cuda::MatmulLibrary library;
    kernels::cuda::head_forward(args, library, nullptr);
    expect_equal(out);
    EXPECT_EQ(finite.values()[0], 1);
  }

  template <class U, template <class> class Array>
  void set_outputs(HeadForward<U>& args, Arrays<U, Array>& out) {
    args.loss = out.loss.data(), args.log_ratios = out.log_ratios.data(), args.values = out.values.data();
    args.slopes = out.slopes.data(), args.entropy_sums = out.entropy_sums.data();
    args.logit_sums = out.logit_sums.data(), args.log_probabilities = out.log_probabilities.data();
    args.dhidden = in_.with_dhidden ? out.dhidden.data() : nullptr;
    args.dweight = out.dweight.data();
  }

  void expect_equal(Arrays<T, OnDevice>& out) {
    // A logit is a sum of 40 products of normal values (3 (40 + 4) units, see matmul), its statistics add 50
    // units of values of up to 25; a sequence adds up seven rows. The objective's slope is below 1.
    const double row = (3 * 44 + 50) * 0x1p-24, sum = 7 * 2 * row;
    expect_near(out.log_probabilities.values(), expected_.log_probabilities, row, "log-probability");
    expect_near(out.log_ratios.values(), expected_.log_ratios, sum, "log-ratio");
    expect_near(out.values.values(), expected_.values, sum, "value");
    expect_near(out.slopes.values(), expected_.slopes, sum, "slope");
    expect_near(out.entropy_sums.values(), expected_.entropy_sums, 10 * sum, "entropy sum");
    expect_near(out.logit_sums.values(), expected_.logit_sums, 10 * sum, "logit sum");
    expect_near(out.loss.values(), expected_.loss, 5 * sum, "loss");
    // The gradient of a logit errs by slope and exponential, relative to itself; in bf16 it is rounded, and
    // so is dhidden once and dweight once for each of at most 12 chunks, independently.
    const double relative = 16 * row + (sizeof(T) == 2 ? 4 * 0x1p-8 : 0);
    if (in_.with_dhidden) {
      EXPECT_LT(relative_distance(doubles(out.dhidden.values()), expected_.dhidden), relative);
    }
    const bool ignored = in_.dweight_mode == GradMode::Ignore;
    EXPECT_LE(relative_distance(doubles(out.dweight.values()), expected_.dweight), ignored ? 0 : relative);
  }

  Inputs in_;
  // Logits of about 2: a sharper softmax would leave nothing of most gradients.
  std::vector<T> hidden_ = scaled(kRows * kColumns, 1, 0.3f), weight_ = scaled(kVocabulary * kColumns, 2, 1),
                 dweight_before_ = scaled(kVocabulary * kColumns, 3, 0.1f);
  std::vector<float> reference_ = random_values<float>(kRows, 4);
  Arrays<double, Vector> expected_;

  static std::vector<T> scaled(int64_t count, uint64_t seed, float factor) {
    std::vector<T> values;
    for (const double value : normal(count, seed)) values.push_back(T(static_cast<float>(value) * factor));
    return values;
  }
};

template <class T>
void check(const Inputs& in) {
  HeadCase<T>(in).run();
}

class HeadCuda : public CudaTest {};

// A row, less than the longest sequence, several sequences, and all rows at a time.
TEST_F(HeadCuda, EveryChunkSizeAgreesWithTheCpuInDouble) {
  for (const int64_t rows : {1, 4, 9, 12}) {
    Inputs in;
    in.chunk_rows = rows;
    check<float>(in);
    check<bf16>(in);
  }
}

TEST_F(HeadCuda, KnownSlopesNeedNoSecondLook) {
  Inputs given, lm;
  given.given_slopes = {0.5, 1, -0.25, 2, -1};
  lm.objective.kind = ObjectiveKind::Lm;
  lm.with_reference = false;
  lm.labels.clear(), lm.z0.clear(), lm.shares.clear();
  for (const Inputs& in : {given, lm}) {
    check<float>(in);
    check<bf16>(in);
  }
}

TEST_F(HeadCuda, GradientsAreAddedToOrLeftAlone) {
  Inputs added, frozen, scored;
  added.dweight_mode = GradMode::Accumulate;
  frozen.dweight_mode = scored.dweight_mode = GradMode::Ignore;
  scored.with_dhidden = false;
  for (const Inputs& in : {added, frozen, scored}) {
    check<float>(in);
    check<bf16>(in);
  }
}

TEST_F(HeadCuda, WithoutARowGradientsAreZero) {
  const std::vector<int32_t> offsets{0, 0, 0};
  DeviceBuffer<double> outputs(std::vector<double>(16));
  DeviceBuffer<int32_t> device_offsets(offsets);
  DeviceBuffer<float> weight(std::vector<float>(21, 1.0f)), dweight(std::vector<float>(21, 7.0f));
  DeviceBuffer<std::byte> scratch(
      static_cast<size_t>(kernels::cuda::head_scratch_bytes<float>(0, 3, 7, 1000)));
  HeadForward<float> args{};
  args.loss = outputs.data(), args.log_ratios = outputs.data() + 2, args.values = outputs.data() + 4;
  args.slopes = outputs.data() + 6, args.entropy_sums = outputs.data() + 8;
  args.logit_sums = outputs.data() + 10;
  args.dweight = dweight.data(), args.dweight_mode = GradMode::Overwrite;
  args.scratch = scratch.data(), args.weight = weight.data();
  args.offsets = device_offsets.data(), args.host_offsets = offsets.data();
  args.columns = 3, args.vocabulary = 7, args.sequences = 2, args.chunk_bytes = 1000;
  kernels::cuda::MatmulLibrary library;
  kernels::cuda::head_forward(args, library, nullptr);
  EXPECT_EQ(dweight.values(), std::vector<float>(21, 0.0f));
  EXPECT_EQ(outputs.values()[0], 1);  // two sequences of value 1 - sigma(0)
}

}  // namespace
}  // namespace prospect::test
