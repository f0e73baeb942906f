#include <numeric>

#include "kernels/common/error.h"
#include "tests/kernels/attention_case.h"

namespace prospect::test {
namespace {

/// Sequences [first, first + count) of a case on the device, forward and backward.
template <class T>
class DeviceAttention {
 public:
  std::vector<T> o, dqkv;
  std::vector<float> lse;

  DeviceAttention(const AttentionCase& shape, const std::vector<T>& qkv, size_t first, size_t count)
      : shape_(shape),
        bounds_(shape.bounds()),
        problem_(shape.problem(bounds_.data() + 4 * first, static_cast<int64_t>(count))),
        qkv_(qkv),
        o_(std::vector<T>(static_cast<size_t>(shape.tokens() * shape.o_stride()), T(NAN))),
        lse_(std::vector<float>(static_cast<size_t>(shape.tokens() * shape.heads), NAN)) {
    kernels::cuda::attention_forward(
        shape_.forward<T>(o_.data(), lse_.data(), nullptr, qkv_.data(), problem_), nullptr);
    o = o_.values(), lse = lse_.values();
  }
  DeviceAttention(const AttentionCase& shape, const std::vector<T>& qkv)
      : DeviceAttention(shape, qkv, 0, shape.sequences.size()) {}

  void backward(const std::vector<T>& d_o, const std::vector<T>& before, GradMode mode) {
    DeviceBuffer<T> device_d_o(d_o), device_dqkv(before);
    DeviceBuffer<std::byte> scratch(
        static_cast<size_t>(kernels::cuda::attention_backward_scratch_bytes(problem_)));
    kernels::cuda::attention_backward(
        shape_.backward<T>(device_dqkv.data(), mode, scratch.data(), device_d_o.data(), o_.data(),
                           qkv_.data(), lse_.data(), problem_),
        nullptr);
    dqkv = device_dqkv.values();
  }

 private:
  const AttentionCase& shape_;
  DeviceBuffer<int32_t> bounds_;
  kernels::AttentionProblem problem_;
  DeviceBuffer<T> qkv_, o_;
  DeviceBuffer<float> lse_;
};

template <class T>
void check_case(const AttentionCase& shape, GradMode mode = GradMode::Overwrite) {
  SCOPED_TRACE(testing::Message() << shape.heads << " heads of " << shape.kv_heads << ", head_dim "
                                  << shape.head_dim);
  const auto qkv = shape.qkv<T>(1), before = shape.qkv<T>(3);
  const auto d_o = shape.outputs<T>(2);
  const auto exact_qkv = doubles(qkv), exact_d_o = doubles(d_o);
  DeviceAttention<T> actual(shape, qkv);
  actual.backward(d_o, before, mode);
  const auto given_o = doubles(actual.o);
  AttentionReference expected(shape, exact_qkv);
  expected.dqkv = doubles(before);
  expected.backward(exact_d_o, given_o, mode);
  const AttentionErrors<T> errors(shape, exact_qkv, exact_d_o, given_o);
  expect_attention(actual.o, expected.o, errors.o, "o");
  expect_attention(actual.lse, expected.lse,
                   std::vector<double>(expected.lse.size(), AttentionErrors<T>::kScore), "lse");
  expect_attention(actual.dqkv, expected.dqkv, errors.dqkv, "dqkv");
}

class AttentionCuda : public CudaTest {};

/// Around the tiles of 128, 64 and 32 rows; one token; a few queries behind a cache of keys.
const std::vector<Lengths> kLengths = {{1, 1}, {129, 129}, {63, 63}, {1, 130}, {64, 64}, {5, 65}, {128, 128}};
const std::vector<Lengths> kFewLengths = {{1, 1}, {130, 130}, {3, 70}};

TEST_F(AttentionCuda, BfloatAgreesWithTheCpuInDouble) {
  check_case<bf16>({.heads = 2, .kv_heads = 1, .head_dim = 64, .sequences = kLengths});
  check_case<bf16>({.heads = 2, .kv_heads = 2, .head_dim = 128, .sequences = kLengths});
  for (const int64_t head_dim : {8, 40, 80, 200, 256}) {
    check_case<bf16>({.heads = 3, .kv_heads = 1, .head_dim = head_dim, .sequences = kFewLengths});
  }
}

TEST_F(AttentionCuda, SinglePrecisionAgreesWithTheCpuInDouble) {
  check_case<float>({.heads = 2, .kv_heads = 1, .head_dim = 64, .sequences = kFewLengths});
  for (const int64_t head_dim : {8, 128, 200, 256}) {
    check_case<float>({.heads = 1, .kv_heads = 1, .head_dim = head_dim, .sequences = {{3, 40}}});
  }
}

TEST_F(AttentionCuda, WindowsHideWhatIsTooFarBack) {
  for (const int64_t window : {1, 30, 64, 129}) {
    SCOPED_TRACE(testing::Message() << "window " << window);
    check_case<bf16>({.heads = 1,
                      .kv_heads = 1,
                      .head_dim = 64,
                      .sequences = {{200, 200}, {1, 150}, {70, 140}},
                      .window = window});
    check_case<float>(
        {.heads = 1, .kv_heads = 1, .head_dim = 8, .sequences = {{1, 50}, {70, 100}}, .window = window});
  }
}

TEST_F(AttentionCuda, QueriesThatHeedFewKeysAgreeToo) {
  check_case<bf16>({.heads = 1, .kv_heads = 1, .head_dim = 64, .sequences = {{200, 200}}, .sharpness = 4});
  check_case<float>({.heads = 1, .kv_heads = 1, .head_dim = 64, .sequences = {{70, 70}}, .sharpness = 4});
}

TEST_F(AttentionCuda, HeadsShareKeysInGroups) {
  for (const int64_t kv_heads : {1, 2, 6}) {
    check_case<bf16>({.heads = 6, .kv_heads = kv_heads, .head_dim = 40, .sequences = {{70, 70}}});
    check_case<float>({.heads = 6, .kv_heads = kv_heads, .head_dim = 24, .sequences = {{33, 33}}});
  }
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b, size_t begin, size_t end) {
  return std::memcmp(a.data() + begin, b.data() + begin, (end - begin) * sizeof(T)) == 0;
}

TEST_F(AttentionCuda, SequencesMayBeManyAndEmpty) {
  std::vector<Lengths> lengths;
  for (int32_t i = 0; i < 70; ++i) lengths.push_back({i % 3, i % 3 + i % 4});
  check_case<bf16>({.heads = 2, .kv_heads = 1, .head_dim = 72, .sequences = lengths});
  check_case<float>({.heads = 1, .kv_heads = 1, .head_dim = 8, .sequences = lengths});
}

TEST_F(AttentionCuda, GradientsAccumulateOrStayAsTheyAre) {
  for (const GradMode mode : {GradMode::Accumulate, GradMode::Ignore}) {
    check_case<bf16>({.heads = 2, .kv_heads = 1, .head_dim = 72, .sequences = kFewLengths}, mode);
    check_case<float>({.heads = 2, .kv_heads = 1, .head_dim = 24, .sequences = kFewLengths}, mode);
  }
}

template <class T>
void check_alone_and_packed() {
  const AttentionCase shape{
      .heads = 2, .kv_heads = 1, .head_dim = 40, .sequences = {{65, 65}, {1, 1}, {130, 130}, {3, 70}}};
  const auto bounds = shape.bounds();
  const auto qkv = shape.qkv<T>(1), before = shape.qkv<T>(3);
  const auto d_o = shape.outputs<T>(2);
  // Another sequence full of what is not a number changes nothing either.
  auto poisoned_qkv = qkv;
  std::fill(poisoned_qkv.begin() + bounds[10] * shape.width(),
            poisoned_qkv.begin() + bounds[11] * shape.width(), T(NAN));
  DeviceAttention<T> packed(shape, qkv), poisoned(shape, poisoned_qkv), again(shape, qkv);
  for (auto* run : {&packed, &poisoned, &again}) run->backward(d_o, before, GradMode::Overwrite);
  for (size_t s = 0; s < shape.sequences.size(); ++s) {
    SCOPED_TRACE(testing::Message() << "sequence " << s);
    DeviceAttention<T> alone(shape, qkv, s, 1);
    alone.backward(d_o, before, GradMode::Overwrite);
    const auto equal = [&](const DeviceAttention<T>& run) {
      const auto at = [&](size_t i, int64_t stride) {
        return static_cast<size_t>(bounds[4 * s + i] * stride);
      };
      return same_bits(run.o, packed.o, at(0, shape.o_stride()), at(1, shape.o_stride())) &&
             same_bits(run.dqkv, packed.dqkv, at(2, shape.width()), at(3, shape.width()));
    };
    EXPECT_TRUE(equal(alone));
    EXPECT_TRUE(equal(again));
    EXPECT_EQ(equal(poisoned), s != 2);
  }
}

TEST_F(AttentionCuda, SequencesAreTheSameAloneAsPackedAndInEveryRun) {
  check_alone_and_packed<bf16>();
  check_alone_and_packed<float>();
}

TEST_F(AttentionCuda, WhatItCannotReadIsRefused) {
  const AttentionCase shape{.heads = 1, .kv_heads = 1, .head_dim = 64, .sequences = {{1, 1}}};
  const auto refused = [&](auto change) {
    auto args = shape.forward<bf16>(nullptr, nullptr, nullptr, nullptr, shape.problem(nullptr, 1));
    change(args);
    EXPECT_THROW(kernels::cuda::attention_forward(args, nullptr), Error);
  };
  refused([](auto& args) { ++args.k; });
  refused([](auto& args) { ++args.v_stride; });
  refused([](auto& args) { args.problem.head_dim = 12; });
  refused([](auto& args) { args.problem.head_dim = 264; });
  refused([](auto& args) { args.problem.scale = -1; });
  refused([](auto& args) { ++args.problem.bounds; });
}

}  // namespace
}  // namespace prospect::test
