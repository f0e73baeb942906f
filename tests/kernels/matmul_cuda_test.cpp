#include <type_traits>

#include "kernels/matmul/matmul.h"
#include "tests/support/device_case.h"

namespace prospect::test {
namespace {

using kernels::Matmul;
using kernels::cuda::MatmulLibrary;

struct Case {
  int64_t rows, columns, inner;
  bool transpose_a = false, transpose_b = false, bias = false;
  GradMode mode = GradMode::Overwrite;
  int64_t padding = 8;  ///< of the stored rows: multiples of 8 keep rows at multiples of 16 bytes
  size_t skip = 0;      ///< elements before the arrays
};

int64_t stride_of(int64_t columns, const Case& c) {
  return c.padding % 8 == 0 ? (columns + 7) / 8 * 8 + c.padding : columns + c.padding;
}

template <class T, class Out>
using Product = void (*)(const Matmul<T, Out>&);

template <class T, class Out>
void by_library(const Matmul<T, Out>& args) {
  MatmulLibrary library;
  DeviceBuffer<std::byte> scratch(static_cast<size_t>(kernels::cuda::matmul_scratch_bytes()));
  Matmul<T, Out> with_scratch = args;
  with_scratch.scratch = scratch.data();
  kernels::cuda::matmul(with_scratch, library, nullptr);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}
template <class T, class Out>
void by_tiles(const Matmul<T, Out>& args) {
  kernels::cuda::matmul_tiled(args, nullptr);
}

/// One product on the device beside the same on the CPU in double, with the values as stored. y is compared
/// whole: what lies between its rows must not change.
template <class T, class Out>
void check(const Case& c, Product<T, Out> product) {
  SCOPED_TRACE(testing::Message() << c.rows << " x " << c.columns << " x " << c.inner
                                  << (c.transpose_a ? ", a transposed" : "")
                                  << (c.transpose_b ? ", b transposed" : "") << ", padding " << c.padding);
  const int64_t a_rows = c.transpose_a ? c.inner : c.rows, a_columns = c.transpose_a ? c.rows : c.inner;
  const int64_t b_rows = c.transpose_b ? c.columns : c.inner, b_columns = c.transpose_b ? c.inner : c.columns;
  Matmul<double> expected{.y = nullptr,
                          .y_mode = c.mode,
                          .a = nullptr,
                          .b = nullptr,
                          .rows = c.rows,
                          .columns = c.columns,
                          .inner = c.inner,
                          .lda = stride_of(a_columns, c),
                          .ldb = stride_of(b_columns, c),
                          .ldy = stride_of(c.columns, c),
                          .transpose_a = c.transpose_a,
                          .transpose_b = c.transpose_b};
  const auto a = random_values<T>(a_rows * expected.lda, 1), b = random_values<T>(b_rows * expected.ldb, 2),
             bias = random_values<T>(c.columns, 3);
  const auto before = random_values<Out>(c.rows * expected.ldy, 4);
  const auto exact_a = doubles(a), exact_b = doubles(b), exact_bias = doubles(bias);
  auto y = doubles(before);
  expected.y = y.data(), expected.a = exact_a.data(), expected.b = exact_b.data();
  if (c.bias) expected.bias = exact_bias.data();
  std::vector<std::byte> scratch(
      static_cast<size_t>(kernels::cpu::matmul_scratch_bytes<double>(c.rows, c.columns, c.inner)));
  expected.scratch = scratch.data();
  kernels::cpu::matmul(expected);

  DeviceBuffer<T> device_a(a, c.skip), device_b(b, c.skip), device_bias(bias, c.skip);
  DeviceBuffer<Out> device_y(before, c.skip);
  product({.y = device_y.data(),
           .y_mode = c.mode,
           .a = device_a.data(),
           .b = device_b.data(),
           .bias = c.bias ? device_bias.data() : nullptr,
           .rows = c.rows,
           .columns = c.columns,
           .inner = c.inner,
           .lda = expected.lda,
           .ldb = expected.ldb,
           .ldy = expected.ldy,
           .transpose_a = c.transpose_a,
           .transpose_b = c.transpose_b});
  // A partial sum of k products of normal values is about sqrt(k) in size, so K roundings of it, each 0.4
  // units on average, add up to about 0.3 K units (tensor cores cut off: twice as much); ten times that is a
  // bound no run meets by chance, and far below what one wrong term (1) would show. Then y is rounded once.
  const double tolerance =
      3 * static_cast<double>(c.inner + 4) * 0x1p-24 + (sizeof(Out) == 2 ? unit<Out>() : 0);
  expect_near(device_y.values(), y, tolerance, "y");
}

template <class T, class Out>
void check_all(const std::vector<Case>& cases, Product<T, Out> product = by_library<T, Out>) {
  for (const Case& c : cases) check<T, Out>(c, product);
}

/// Sums that go round the ring of stages, and end within a tile.
template <class T>
constexpr int64_t kInner = std::is_same_v<T, bf16> ? 170 : 45;

/// Every way of storing the operands, ragged in every size.
template <class T>
std::vector<Case> layouts(int64_t padding) {
  return {{133, 150, kInner<T>, false, false, true, GradMode::Overwrite, padding},
          {133, 150, kInner<T>, false, true, false, GradMode::Accumulate, padding},
          {150, 133, kInner<T>, true, false, true, GradMode::Accumulate, padding},
          {150, 133, kInner<T>, true, true, false, GradMode::Overwrite, padding}};
}

class MatmulCuda : public CudaTest {};

TEST_F(MatmulCuda, BfloatAgreesWithTheCpuInDouble) {
  check_all<bf16, bf16>(layouts<bf16>(8));
}
TEST_F(MatmulCuda, BfloatInputsGiveAFloatResultUnrounded) {
  check_all<bf16, float>(layouts<bf16>(8));
}
TEST_F(MatmulCuda, SinglePrecisionAgreesWithTheCpuInDouble) {
  check_all<float, float>(layouts<float>(8));
}

TEST_F(MatmulCuda, RowsNeedNotBeginAtVectors) {
  check_all<bf16, float>(layouts<bf16>(3));
  check_all<float, float>(layouts<float>(3));
  check<bf16, bf16>({40, 20, 50, false, true, true, GradMode::Accumulate, 8, 1}, by_library);
}

TEST_F(MatmulCuda, WholeTilesOfEveryKindOfResult) {
  // Two columns of nine tiles: one more than a band.
  for (const GradMode mode : {GradMode::Overwrite, GradMode::Accumulate}) {
    check<bf16, bf16>({128, 256, 32, false, true, true, mode}, by_library);
    check<bf16, float>({128, 128, 40, false, true, false, mode}, by_library);
    check<float, float>({128, 128, 8, true, false, true, mode}, by_library);
  }
  check<bf16, bf16>({9 * 128, 130, 8, false, true, false, GradMode::Overwrite}, by_library);
}

TEST_F(MatmulCuda, SmallAndEmptyProducts) {
  const std::vector<Case> cases{{1, 1, 1},
                                {1, 40, 35, false, true, true},
                                {3, 5, 0, false, false, true},
                                {3, 5, 0, true, true, false, GradMode::Accumulate},
                                {0, 5, 7},
                                {5, 0, 7},
                                {4, 5, 6, false, false, true, GradMode::Ignore}};
  check_all<float, float>(cases);
  check_all<bf16, bf16>(cases);
}

TEST_F(MatmulCuda, OwnKernelsStandBesideTheLibrary) {
  check<float, float>(layouts<float>(8)[1], by_tiles);
  check<bf16, bf16>(layouts<bf16>(8)[2], by_tiles);
  check<bf16, float>(layouts<bf16>(3)[0], by_tiles);
}

TEST_F(MatmulCuda, TheSameBitsEveryTimeAndInAnyShape) {
  // A row of y depends on its row of a alone, wherever it stands.
  const auto a = random_values<bf16>(130 * 64, 1), b = random_values<bf16>(64 * 8, 2);
  DeviceBuffer<bf16> device_a(a), device_b(b);
  DeviceBuffer<float> many(130 * 8), one(8);
  Matmul<bf16, float> args{.y = many.data(),
                           .a = device_a.data(),
                           .b = device_b.data(),
                           .rows = 130,
                           .columns = 8,
                           .inner = 64,
                           .lda = 64,
                           .ldb = 8,
                           .ldy = 8};
  kernels::cuda::matmul_tiled(args, nullptr);
  args.y = one.data(), args.a = device_a.data() + 129 * 64, args.rows = 1;
  kernels::cuda::matmul_tiled(args, nullptr);
  const auto all = many.values();
  EXPECT_EQ(one.values(), std::vector<float>(all.end() - 8, all.end()));
}

/// dbias on the device beside the same on the CPU in double.
template <class T>
void check_bias(int64_t rows, int64_t columns, GradMode mode, size_t skip = 0) {
  SCOPED_TRACE(testing::Message() << rows << " x " << columns);
  const auto dy = random_values<T>(rows * columns, 1), before = random_values<T>(columns, 2);
  const auto exact_dy = doubles(dy);
  auto dbias = doubles(before);
  kernels::cpu::matmul_bias_backward<double>(
      {.dbias = dbias.data(), .dbias_mode = mode, .dy = exact_dy.data(), .rows = rows, .columns = columns});
  DeviceBuffer<T> device_dy(dy, skip), device_dbias(before);
  DeviceBuffer<float> scratch(
      static_cast<size_t>(kernels::cuda::matmul_bias_backward_scratch_bytes(columns)) / sizeof(float));
  kernels::cuda::matmul_bias_backward<T>({.dbias = device_dbias.data(),
                                          .dbias_mode = mode,
                                          .dy = device_dy.data(),
                                          .rows = rows,
                                          .columns = columns,
                                          .scratch = scratch.data()},
                                         nullptr);
  // At most `rows` roundings of partial sums, which stay below 5 sqrt(rows); then dbias is rounded once.
  const double sum = 5 * std::sqrt(static_cast<double>(rows)) * static_cast<double>(rows + 2) * 0x1p-24;
  expect_near(device_dbias.values(), dbias, sum + (sizeof(T) == 2 ? unit<T>() : 0), "dbias");
}

TEST_F(MatmulCuda, BiasGradientsAgreeWithTheCpuInDouble) {
  // One row; a ragged strip, in vectors and not; rows of several blocks, the last of them ragged.
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{1, 4}, {3, 1}, {40, 132}, {70, 257}}) {
    check_bias<float>(rows, columns, GradMode::Overwrite);
    check_bias<bf16>(rows, columns, GradMode::Accumulate);
  }
  check_bias<bf16>(70, 132, GradMode::Overwrite, 1);
  check_bias<float>(0, 5, GradMode::Overwrite);
  check_bias<float>(4, 5, GradMode::Ignore);
}

}  // namespace
}  // namespace prospect::test
