#include "kernels/matmul/matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "engine/ops.h"
#include "kernels/matmul/matmul_pairs.h"
#include "kernels/matmul/matmul_ways.h"
#include "tests/support/gradient_check.h"
#include "tests/support/near.h"
#include "tests/support/one_thread.h"
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
                                     const Tensor& y) {
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
      to = (c.mode == kAccumulate ? to : 0) + sum + (c.bias ? biases[size_t(j)] : 0);
    }
  }
  return result;
}

/// Runs `product` on random values of every case and compares. A partial sum of k products of normal values
/// is about sqrt(k) in size, so K roundings of it, independent and each 0.4 u on average, add up to about 0.3
/// K u; ten times that is a bound no run meets by chance, and far below what one wrong term (1) would show.
template <class T, class Out>
void check_cases(void (*product)(const Matmul<T, Out>&), bool rounds_result = false) {
  for (const Case& c : kCases) {
    const DType in = dtype_of<T>, out = dtype_of<Out>;
    const Tensor a = stored(c.rows, c.inner, c.transpose_a, in, 1),
                 b = stored(c.inner, c.columns, c.transpose_b, in, 2);
    const Tensor bias = normal_tensor({c.columns}, in, 3),
                 y = normal_tensor({c.rows, c.columns + kPadding}, out, 4);
    const int64_t bytes = kernels::cpu::matmul_scratch_bytes<T>(c.rows, c.columns, c.inner);
    std::vector<std::byte> scratch(static_cast<size_t>(bytes));
    const auto expected = expected_product(c, a, b, bias, y);
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
             .transpose_b = c.transpose_b});
    const double tolerance = 3 * static_cast<double>(c.inner + 4) * unit_roundoff(compute_dtype(in)) +
                             (rounds_result ? unit_roundoff(out) : 0);
    EXPECT_TRUE(near(y, expected, tolerance))
        << c.rows << " x " << c.columns << " x " << c.inner << (c.transpose_a ? ", a transposed" : "")
        << (c.transpose_b ? ", b transposed" : "");
  }
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

TEST(Matmul, PackedTilesAgreeWithTheDefinitionForAnyNumberOfRows) {
  check_cases(kernels::cpu::matmul_blocked<float, float>);
  check_cases(kernels::cpu::matmul_blocked<double, double>);
  check_cases(kernels::cpu::matmul_blocked<bf16, float>);
}

struct Sizes {
  int64_t rows, columns, inner;
};

/// op(a) op(b). The arrays have no element to spare: a sanitizer sees what is read or written beside them.
template <class T, class Out>
std::vector<Out> product(const std::vector<T>& a, const std::vector<T>& b, const Sizes& sizes,
                         bool transpose_a, bool transpose_b) {
  const auto [rows, columns, inner] = sizes;
  std::vector<Out> y(static_cast<size_t>(rows * columns));
  std::vector<std::byte> scratch(
      static_cast<size_t>(kernels::cpu::matmul_scratch_bytes<T>(rows, columns, inner)));
  kernels::cpu::matmul<T, Out>({.y = y.data(),
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
  for (T& number : numbers) {
    store(number, static_cast<compute_t<T>>(std::uniform_int_distribution(-8, 8)(random)));
  }
  return numbers;
}

template <class T>
void check_random_sizes(int cases) {
  std::mt19937 random(7);
  for (int i = 0; i < cases; ++i) {
    const int most = random() % 4 == 0 ? 700 : 120;
    const auto size = [&](int at_most) { return std::uniform_int_distribution<int64_t>(1, at_most)(random); };
    const int64_t rows = size(random() % 3 == 0 ? 9 : most), columns = size(most), inner = size(most);
    const bool ta = random() % 2, tb = random() % 2;
    const std::vector<T> a = whole_numbers<T>(rows * inner, random),
                         b = whole_numbers<T>(inner * columns, random);
    std::vector<compute_t<T>> expected(static_cast<size_t>(rows * columns));
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t k = 0; k < inner; ++k) {
        for (int64_t c = 0; c < columns; ++c) {
          expected[size_t(r * columns + c)] += load(a[size_t(ta ? k * rows + r : r * inner + k)]) *
                                               load(b[size_t(tb ? c * inner + k : k * columns + c)]);
        }
      }
    }
    ASSERT_EQ((product<T, compute_t<T>>(a, b, {rows, columns, inner}, ta, tb)), expected)
        << rows << " x " << columns << " x " << inner << (ta ? ", a transposed" : "")
        << (tb ? ", b transposed" : "");
  }
}

TEST(Matmul, IsExactOnWholeNumbersOfAnySizes) {
  check_random_sizes<float>(80);
  check_random_sizes<double>(80);
  check_random_sizes<bf16>(80);
}

template <class T>
std::vector<T> normal_numbers(int64_t count, std::mt19937& random) {
  std::vector<T> numbers(static_cast<size_t>(count));
  for (T& number : numbers) store(number, std::normal_distribution<compute_t<T>>()(random));
  return numbers;
}

/// A batch may hold any rows beside a row, so that one way must not show from another.
template <class T, class Out>
void check_bits_of_rows() {
  constexpr int64_t kAll = 401, kColumns = 250;
  for (const int64_t inner : {700, 2100}) {
    std::mt19937 random(7);
    const auto a = normal_numbers<T>(kAll * inner, random), b = normal_numbers<T>(kColumns * inner, random);
    const auto bits = [&](int64_t rows) {
      std::vector<Out> y = product<T, Out>(a, b, {rows, kColumns, inner}, false, true);
      std::vector<std::byte> bytes(y.size() * sizeof(Out));
      std::memcpy(bytes.data(), y.data(), bytes.size());
      return bytes;
    };
    const auto all = bits(kAll);
    for (const int64_t rows : {1, 5, 6, 8, 9, 100, 193, 400}) {
      const auto first = bits(rows);
      EXPECT_TRUE(std::equal(first.begin(), first.end(), all.begin()))
          << rows << " rows, " << inner << " terms";
    }
    const OneThread alone;
    EXPECT_EQ(bits(kAll), all);
  }
}

TEST(Matmul, ARowKeepsItsBitsWhateverTheOtherRowsAndTheThreads) {
  check_bits_of_rows<float, float>();
  check_bits_of_rows<double, double>();
  check_bits_of_rows<bf16, bf16>();
  check_bits_of_rows<bf16, float>();
}

/// All tiles of a y of 12 x 2 vectors of 64 bytes, one after another.
template <class Tile, class T>
std::vector<T> tiles_of(const std::vector<T>& a, const std::vector<T>& b, int64_t depth) {
  using kernels::cpu::Destination, kernels::cpu::Lines, kernels::cpu::Panel;
  constexpr int64_t kRows = 12, kColumns = 128 / int64_t{sizeof(T)};
  std::vector<T> y(kRows * kColumns, T{1}), packed(static_cast<size_t>(kRows * depth));
  Tile::pack_rows(packed.data(), Lines<T>{a.data(), depth, 1}, kRows, depth);
  for (int64_t row = 0; row < kRows; row += Tile::kRows) {
    for (int64_t column = 0; column < kColumns; column += Tile::kColumns) {
      Tile::multiply(packed.data() + row * depth, Panel<T>{b.data() + column, kColumns}, depth,
                     Destination<T>{y.data() + row * kColumns + column, kColumns, nullptr, true});
    }
  }
  return y;
}

template <class T>
void check_tiles() {
  constexpr int64_t kDepth = 100;
  std::mt19937 random(7);
  const auto a = normal_numbers<T>(12 * kDepth, random),
             b = normal_numbers<T>(128 / sizeof(T) * kDepth, random);
  EXPECT_EQ((tiles_of<kernels::cpu::Avx512Tile<T>>(a, b, kDepth)),
            (tiles_of<kernels::cpu::Avx2Tile<T>>(a, b, kDepth)));
}

TEST(Matmul, ProcessorsWithAvx512AndWithoutComputeTheSameBits) {
  if (!kernels::cpu::Avx512Tile<float>::usable()) GTEST_SKIP() << "this processor has no AVX-512";
  check_tiles<float>();
  check_tiles<double>();
}

/// Both orders of the terms in memory, and fewer rows, columns and terms than a tile has.
template <class Tile>
void check_pair_tile() {
  using kernels::cpu::Destination, kernels::cpu::Lines, kernels::cpu::Panel;
  constexpr int64_t kSide = 32, kRows = 27, kColumns = 19, kDepth = 75;
  std::mt19937 random(7);
  for (const bool side_by_side : {true, false}) {
    const auto a = normal_numbers<bf16>(kRows * kDepth, random),
               b = normal_numbers<bf16>(kColumns * kDepth, random);
    const auto bias = normal_numbers<float>(kSide, random);
    const Lines<bf16> rows{a.data(), side_by_side ? kDepth : 1, side_by_side ? 1 : kRows},
        columns{b.data(), side_by_side ? kDepth : 1, side_by_side ? 1 : kColumns};
    alignas(64) uint32_t packed_a[Tile::packed_count(kSide, kDepth)],
        packed_b[Tile::packed_count(kSide, kDepth)];
    Tile::pack_rows(packed_a, rows, kRows, kDepth);
    Tile::pack_columns(packed_b, columns, kColumns, kDepth);
    for (const bool add : {true, false}) {
      std::vector<float> y(kSide * kSide, 3.0f);
      {
        [[maybe_unused]] const typename Tile::Scope scope;
        Tile::multiply(packed_a, Panel<uint32_t>{packed_b, kSide}, kDepth,
                       Destination<float>{y.data(), kSide, bias.data(), add});
      }
      for (int64_t r = 0; r < kSide; ++r) {
        for (int64_t c = 0; c < kSide; ++c) {
          double sum = (add ? 3.0 : 0.0) + double(bias[size_t(c)]);
          for (int64_t k = 0; k < kDepth && r < kRows && c < kColumns; ++k) {
            sum += double(load(*rows.at(r, k))) * double(load(*columns.at(c, k)));
          }
          // As in check_cases().
          EXPECT_NEAR(y[size_t(r * kSide + c)], sum, 3 * (kDepth + 4) * unit_roundoff(DType::F32));
        }
      }
    }
  }
}

TEST(Matmul, TilesOfPairsOnTileRegistersAgreeWithTheDefinition) {
  if (!kernels::cpu::AmxTile::usable()) GTEST_SKIP() << "this processor has no AMX";
  check_pair_tile<kernels::cpu::AmxTile>();
}

TEST(Matmul, TilesOfPairsOnVectorsAgreeWithTheDefinition) {
  if (!kernels::cpu::Avx512PairTile::usable()) GTEST_SKIP() << "this processor has no AVX512_BF16";
  check_pair_tile<kernels::cpu::Avx512PairTile>();
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
