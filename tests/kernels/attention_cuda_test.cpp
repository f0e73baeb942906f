#include <numeric>

#include "kernels/common/error.h"
#include "tests/kernels/attention_case.h"

namespace prospect::test {
namespace {

template <class T>
struct DeviceForward {
  std::vector<T> o;
  std::vector<float> lse;
};

/// Sequences [first, first + count) of a case on the device.
template <class T>
DeviceForward<T> forward_of(const AttentionCase& shape, const std::vector<T>& qkv, size_t first,
                            size_t count) {
  DeviceBuffer<int32_t> bounds(shape.bounds());
  DeviceBuffer<T> device_qkv(qkv),
      o(std::vector<T>(static_cast<size_t>(shape.tokens() * shape.o_stride()), T(NAN)));
  DeviceBuffer<float> lse(std::vector<float>(static_cast<size_t>(shape.tokens() * shape.heads), NAN));
  kernels::cuda::attention_forward(
      shape.forward<T>(o.data(), lse.data(), nullptr, device_qkv.data(),
                       shape.problem(bounds.data() + 4 * first, static_cast<int64_t>(count))),
      nullptr);
  return {o.values(), lse.values()};
}
template <class T>
DeviceForward<T> forward_of(const AttentionCase& shape, const std::vector<T>& qkv) {
  return forward_of(shape, qkv, 0, shape.sequences.size());
}

template <class T>
void check_case(const AttentionCase& shape) {
  SCOPED_TRACE(testing::Message() << shape.heads << " heads of " << shape.kv_heads << ", head_dim "
                                  << shape.head_dim);
  const auto qkv = shape.qkv<T>(1);
  const AttentionReference expected(shape, doubles(qkv));
  const AttentionErrors errors(shape, doubles(qkv), rounding<T>());
  const DeviceForward<T> actual = forward_of(shape, qkv);
  expect_attention(actual.o, expected.o, errors.o, "o");
  // A logarithm of a sum errs as the scores do.
  expect_attention(actual.lse, expected.lse, std::vector<double>(expected.lse.size(), rounding<float>().term),
                   "lse");
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

template <class T>
void check_alone_and_packed() {
  const AttentionCase shape{
      .heads = 2, .kv_heads = 1, .head_dim = 40, .sequences = {{65, 65}, {1, 1}, {130, 130}, {3, 70}}};
  const auto bounds = shape.bounds();
  const auto qkv = shape.qkv<T>(1);
  const auto packed = forward_of(shape, qkv);
  // Another sequence full of what is not a number changes nothing either.
  auto poisoned_qkv = qkv;
  std::fill(poisoned_qkv.begin() + bounds[10] * shape.width(),
            poisoned_qkv.begin() + bounds[11] * shape.width(), T(NAN));
  const auto poisoned = forward_of(shape, poisoned_qkv), again = forward_of(shape, qkv);
  for (size_t s = 0; s < shape.sequences.size(); ++s) {
    SCOPED_TRACE(testing::Message() << "sequence " << s);
    const auto alone = forward_of(shape, qkv, s, 1);
    const auto row = [&](size_t i) { return static_cast<size_t>(bounds[4 * s + i] * shape.o_stride()); };
    EXPECT_TRUE(same_bits(alone.o, packed.o, row(0), row(1)));
    EXPECT_TRUE(same_bits(again.o, packed.o, row(0), row(1)));
    EXPECT_EQ(same_bits(poisoned.o, packed.o, row(0), row(1)), s != 2);
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
