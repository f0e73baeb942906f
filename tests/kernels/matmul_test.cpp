#include "kernels/matmul/matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "engine/ops.h"
#include "kernels/common/threads.h"
#include "kernels/matmul/matmul_library.h"
#include "tests/support/gradient_check.h"
#include "tests/support/near.h"
#include "tests/support/random.h"

namespace prospect::test {
namespace {

using kernels::Matmul;

/// Sizes that fall on no tile's edge; strides beyond the sizes, so that a wrong one shows.
struct Case {
  int64_t rows, columns, inner;
  bool transpose_a, transpose_b, bias;
  GradMode mode;
};

constexpr int64_t kPadding = 3;
constexpr GradMode kOverwrite = GradMode::Overwrite, kAccumulate = GradMode::Accumulate;

const std::vector<Case> kCases = {
    {37, 150, 70, false, true, true, kOverwrite},   {37, 150, 70, false, true, false, kAccumulate},
    {37, 150, 70, false, false, true, kAccumulate}, {37, 150, 70, true, false, false, kOverwrite},
    {37, 150, 70, true, true, true, kOverwrite},    {1, 40, 35, false, true, true, kOverwrite},
    {7, 40, 35, false, true, true, kAccumulate},    {5, 9, 16, false, false, false, kOverwrite},
    {10, 530, 520, true, false, true, kAccumulate}, {520, 10, 530, false, true, true, kOverwrite},
    {9, 6, 0, false, false, true, kOverwrite},      {3, 6, 0, false, true, false, kOverwrite},
};

Tensor stored(int64_t rows, int64_t columns, bool transposed, DType dtype, uint64_t seed) {
  return transposed ? normal_tensor({columns, rows + kPadding}, dtype, seed)
                    : normal_tensor({rows, columns + kPadding}, dtype, seed);
}

/// The definition, in double, on the values as stored; padding of y keeps what it held.
std::vector<double> expected_product(const Case& c, const Tensor& a, const Tensor& b, const Tensor& bias,
                                     const Tensor& y, double alpha) {
  const auto av = to_doubles(a), bv = to_doubles(b), biases = to_doubles(bias);
  std::vector<double> result = to_doubles(y);
  const int64_t lda = a.size(1), ldb = b.size(1), ldy = y.size(1);
  for (int64_t i = 0; i < c.rows; ++i) {
    for (int64_t j = 0; j < c.columns; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < c.inner; ++k) {
        sum += av[size_t(c.transpose_a ? k * lda + i : i * lda + k)] *
               bv[size_t(c.transpose_b ? j * ldb + k : k * ldb + j)];
      }
      double& to = result[size_t(i * ldy + j)];
      to = (c.mode == kAccumulate ? to : 0) + alpha * sum + (c.bias ? biases[size_t(j)] : 0);
    }
  }
  return result;
}

/// Runs `product` on random values of every case and compares. A partial sum of k products of normal values
/// is about sqrt(k) in size, so K roundings of it, independent and each 0.4 u on average, add up to about 0.3
/// K u; ten times that is a bound no run meets by chance, and far below what one wrong term (1) would show.
template <class T, class Out>
void check_cases(void (*product)(const Matmul<T, Out>&), bool rounds_result, double alpha) {
  for (const Case& c : kCases) {
    const DType in = dtype_of<T>, out = dtype_of<Out>;
    const Tensor a = stored(c.rows, c.inner, c.transpose_a, in, 1),
                 b = stored(c.inner, c.columns, c.transpose_b, in, 2);
    const Tensor bias = normal_tensor({c.columns}, in, 3),
                 y = normal_tensor({c.rows, c.columns + kPadding}, out, 4);
    const int64_t bytes = kernels::cpu::matmul_scratch_bytes<T>(c.rows, c.columns, c.inner);
    std::vector<std::byte> scratch(static_cast<size_t>(bytes));
    const auto expected = expected_product(c, a, b, bias, y, alpha);
    product({.y = y.data<Out>(),
             .y_mode = c.mode,
             .scratch = scratch.data(),
             .a = a.data<T>(),
             .b = b.data<T>(),
             .bias = c.bias ? bias.data<T>() : nullptr,
             .rows = c.rows,
             .columns = c.columns,
             .inner = c.inner,
             .lda = a.size(1),
             .ldb = b.size(1),
             .ldy = y.size(1),
             .transpose_a = c.transpose_a,
             .transpose_b = c.transpose_b,
             .alpha = alpha});
    const double tolerance = 3 * static_cast<double>(c.inner + 4) * unit_roundoff(compute_dtype(in)) +
                             (rounds_result ? unit_roundoff(out) : 0);
    EXPECT_TRUE(near(y, expected, tolerance))
        << c.rows << " x " << c.columns << " x " << c.inner << (c.transpose_a ? ", a transposed" : "")
        << (c.transpose_b ? ", b transposed" : "") << ", alpha " << alpha;
  }
}

/// A factor other than 1 may go another way than the products that a model consists of.
template <class T, class Out>
void check_cases(void (*product)(const Matmul<T, Out>&), bool rounds_result = false) {
  for (const double alpha : {1.0, 0.5}) check_cases(product, rounds_result, alpha);
}

TEST(Matmul, FloatAgreesWithTheDefinition) {
  check_cases(kernels::cpu::matmul<float, float>);
}

TEST(Matmul, DoubleAgreesWithTheDefinition) {
  check_cases(kernels::cpu::matmul<double, double>);
}

TEST(Matmul, BfloatRoundsOnlyItsResult) {
  check_cases(kernels::cpu::matmul<bf16, bf16>, true);
}

TEST(Matmul, BfloatInputsGiveAFloatResultUnrounded) {
  check_cases(kernels::cpu::matmul<bf16, float>);
}

TEST(Matmul, OurOwnProductAgreesWithTheDefinition) {
  check_cases(kernels::cpu::matmul_blocked<float>);
  check_cases(kernels::cpu::matmul_blocked<double>);
}

/// The library where it can, also on a processor whose instructions do not make it the faster one.
void library_or_own(const Matmul<float>& args) {
  if (!kernels::cpu::onednn_product(args)) kernels::cpu::matmul_blocked(args);
}

TEST(Matmul, TheLibraryAgreesWithTheDefinition) {
  if (kernels::cpu::onednn_words().empty()) GTEST_SKIP() << "built without oneDNN";
  check_cases(library_or_own);
}

struct Sizes {
  int64_t rows, columns, inner;
};

/// op(a) op(b) by matmul_blocked(). The arrays have no element to spare: a sanitizer sees what is read or
/// written beside them.
template <class T>
std::vector<T> own_product(const std::vector<T>& a, const std::vector<T>& b, const Sizes& sizes,
                           bool transpose_a, bool transpose_b) {
  const auto [rows, columns, inner] = sizes;
  std::vector<T> y(static_cast<size_t>(rows * columns));
  std::vector<std::byte> scratch(
      static_cast<size_t>(kernels::cpu::matmul_blocked_scratch_bytes<T>(rows, inner)));
  kernels::cpu::matmul_blocked<T>({.y = y.data(),
                                   .scratch = scratch.data(),
                                   .a = a.data(),
                                   .b = b.data(),
                                   .rows = rows,
                                   .columns = columns,
                                   .inner = inner,
                                   .lda = transpose_a ? rows : inner,
                                   .ldb = transpose_b ? inner : columns,
                                   .ldy = columns,
                                   .transpose_a = transpose_a,
                                   .transpose_b = transpose_b});
  return y;
}

/// Small whole numbers, so that no sum is rounded: at most 700 terms of at most 64.
template <class T>
std::vector<T> whole_numbers(int64_t count, std::mt19937& random) {
  std::vector<T> numbers(static_cast<size_t>(count));
  for (T& number : numbers) number = static_cast<T>(std::uniform_int_distribution(-8, 8)(random));
  return numbers;
}

template <class T>
void check_random_sizes(int cases) {
  std::mt19937 random(7);
  for (int i = 0; i < cases; ++i) {
    const int most = random() % 4 == 0 ? 700 : 120;
    const auto size = [&] { return std::uniform_int_distribution<int64_t>(1, most)(random); };
    const int64_t rows = size(), columns = size(), inner = size();
    const bool ta = random() % 2, tb = random() % 2;
    const std::vector<T> a = whole_numbers<T>(rows * inner, random),
                         b = whole_numbers<T>(inner * columns, random);
    std::vector<T> expected(static_cast<size_t>(rows * columns));
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t k = 0; k < inner; ++k) {
        for (int64_t c = 0; c < columns; ++c) {
          expected[size_t(r * columns + c)] +=
              a[size_t(ta ? k * rows + r : r * inner + k)] * b[size_t(tb ? c * inner + k : k * columns + c)];
        }
      }
    }
    ASSERT_EQ(own_product(a, b, {rows, columns, inner}, ta, tb), expected)
        << rows << " x " << columns << " x " << inner << (ta ? ", a transposed" : "")
        << (tb ? ", b transposed" : "");
  }
}

TEST(Matmul, OurOwnProductIsExactOnWholeNumbersOfAnySizes) {
  check_random_sizes<float>(60);
  check_random_sizes<double>(60);
}

TEST(Matmul, OurOwnProductKeepsARowsBitsWhateverTheOtherRowsAndTheThreads) {
  constexpr int64_t kAll = 401, kColumns = 250, kInner = 700;
  std::mt19937 random(7);
  std::vector<float> a(kAll * kInner), b(kColumns * kInner);
  for (float& value : a) value = std::normal_distribution<float>()(random);
  for (float& value : b) value = std::normal_distribution<float>()(random);
  const std::vector<float> all = own_product(a, b, {kAll, kColumns, kInner}, false, true);
  for (const int64_t rows : {1, 5, 6, 100, 193, 400}) {
    const std::vector<float> first = own_product(a, b, {rows, kColumns, kInner}, false, true);
    EXPECT_TRUE(std::equal(first.begin(), first.end(), all.begin())) << rows;
  }
  const OneThread alone;
  EXPECT_EQ(own_product(a, b, {kAll, kColumns, kInner}, false, true), all);
}

TEST(Matmul, IgnoredResultIsLeftAlone) {
  float y = 7;
  const float one = 1;
  kernels::cpu::matmul<float>({.y = &y,
                               .y_mode = GradMode::Ignore,
                               .a = &one,
                               .b = &one,
                               .rows = 1,
                               .columns = 1,
                               .inner = 1,
                               .lda = 1,
                               .ldb = 1,
                               .ldy = 1});
  EXPECT_EQ(y, 7);
}

TEST(Matmul, GradientsMatchFiniteDifferences) {
  check_gradients([](auto in) { return matmul(in[0], in[1], in[2]); },
                  {normal_tensor({9, 5}, DType::F64, 1), normal_tensor({4, 5}, DType::F64, 2),
                   normal_tensor({4}, DType::F64, 3)});
  check_gradients([](auto in) { return matmul(in[0], in[1]); },
                  {normal_tensor({2, 5}, DType::F64, 1), normal_tensor({4, 5}, DType::F64, 2)});
}

TEST(Matmul, BiasGradientSumsRowsOfEveryStrip) {
  const Variable x(normal_tensor({50, 3}, DType::F32, 1)), weight(normal_tensor({300, 3}, DType::F32, 2));
  const auto bias = Variable::parameter(normal_tensor({300}, DType::F32, 3));
  const Tensor dy = normal_tensor({50, 300}, DType::F32, 4);
  backward(matmul(x, weight, bias), dy);
  std::vector<double> sums(300, 0.0);
  for (int64_t i = 0; i < dy.count(); ++i) sums[size_t(i % 300)] += double(dy.data<float>()[i]);
  // 50 additions, each rounding a partial sum that stays below 32.
  EXPECT_TRUE(near(bias.grad(), sums, 50 * 32 * unit_roundoff(DType::F32)));
}

TEST(Matmul, NamesTheShapeItExpected) {
  const Variable x(normal_tensor({2, 8}, DType::F32, 1)), narrow(normal_tensor({3, 7}, DType::F32, 2));
  try {
    matmul(x, narrow);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "matmul: weight must be [3, 8] f32, got [3, 7] f32");
  }
}

}  // namespace
}  // namespace prospect::test
