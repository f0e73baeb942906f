#include "kernels/embedding/embedding.h"

#include <algorithm>
#include <cmath>

#include "tests/support/device_case.h"

namespace prospect::test {
namespace {

/// Rows of a table of kTableRows rows, the middle one of which no id names.
constexpr int64_t kTableRows = 41, kUnnamed = 20;

/// Ids in no order: `common` of them are row 7, the others spread over the table.
std::vector<int32_t> make_ids(int64_t tokens, int64_t common) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < tokens; ++i) {
    const int64_t spread = i * 23 % kTableRows;
    ids.push_back(static_cast<int32_t>(i < common ? 7 : spread == kUnnamed || spread == 7 ? 0 : spread));
  }
  for (size_t i = 0; i < ids.size(); ++i) std::swap(ids[i], ids[i * 31 % ids.size()]);
  return ids;
}

/// skip: the arrays begin that many elements behind an aligned place.
template <class T>
void check_forward(const std::vector<int32_t>& ids, int64_t columns, size_t skip) {
  const auto tokens = static_cast<int64_t>(ids.size());
  const auto table = random_values<T>(kTableRows * columns, 1);
  std::vector<double> y(ids.size() * static_cast<size_t>(columns));
  const auto exact = doubles(table);
  kernels::cpu::embedding_forward<double>(
      {.y = y.data(), .table = exact.data(), .ids = ids.data(), .tokens = tokens, .columns = columns});
  DeviceBuffer<T> device_table(table, skip), device_y(y.size(), skip);
  DeviceBuffer<int32_t> device_ids(ids);
  kernels::cuda::embedding_forward<T>({.y = device_y.data(),
                                       .table = device_table.data(),
                                       .ids = device_ids.data(),
                                       .tokens = tokens,
                                       .columns = columns},
                                      nullptr);
  expect_near(device_y.values(), y, 0, "y");
}

template <class T>
void check_backward(const std::vector<int32_t>& ids, int64_t columns, size_t skip, GradMode mode) {
  const auto tokens = static_cast<int64_t>(ids.size());
  const auto dy = random_values<T>(tokens * columns, 2), before = random_values<T>(kTableRows * columns, 3);
  const auto exact = doubles(dy);
  auto expected = doubles(before);
  std::vector<int32_t> order(ids.size()), starts(ids.size() + 1);
  const int64_t runs = kernels::cpu::embedding_order(ids.data(), tokens, order.data(), starts.data());
  kernels::cpu::embedding_backward<double>({.dtable = expected.data(),
                                            .dtable_mode = mode,
                                            .dy = exact.data(),
                                            .ids = ids.data(),
                                            .order = order.data(),
                                            .starts = starts.data(),
                                            .runs = runs,
                                            .columns = columns,
                                            .table_rows = kTableRows});
  DeviceBuffer<T> dtable(before, skip), device_dy(dy, skip);
  DeviceBuffer<int32_t> device_ids(ids), device_order(order), device_starts(starts);
  kernels::cuda::embedding_backward<T>({.dtable = dtable.data(),
                                        .dtable_mode = mode,
                                        .dy = device_dy.data(),
                                        .ids = device_ids.data(),
                                        .order = device_order.data(),
                                        .starts = device_starts.data(),
                                        .runs = runs,
                                        .columns = columns,
                                        .table_rows = kTableRows},
                                       nullptr);
  if (mode == GradMode::Ignore) return expect_near(dtable.values(), expected, 0, "dtable");
  // A run of n tokens is summed in a chain of n terms, a long one in eight of n / 8; terms are below 5.
  int32_t longest = 0;
  for (int64_t run = 0; run < runs; ++run) {
    const auto r = static_cast<size_t>(run);
    longest = std::max(longest, starts[r + 1] - starts[r]);
  }
  const double roundings = longest <= 64 ? longest : std::max(64, longest / 8 + 9);
  expect_near(dtable.values(), expected, roundings * 0x1p-24 * 5 * longest + unit<T>(), "dtable");
  if (mode == GradMode::Overwrite) {
    const std::vector<T> values = dtable.values();
    for (int64_t c = 0; c < columns; ++c) {
      EXPECT_EQ(static_cast<float>(load(values[static_cast<size_t>(kUnnamed * columns + c)])), 0) << c;
    }
  }
}

template <class T>
void check(const std::vector<int32_t>& ids, int64_t columns, size_t skip, GradMode mode) {
  SCOPED_TRACE(testing::Message() << ids.size() << " tokens, " << columns << " columns");
  check_forward<T>(ids, columns, skip);
  check_backward<T>(ids, columns, skip, mode);
}

class EmbeddingCuda : public CudaTest {};

// One token; one column; odd columns; more runs than a block has warps; two and three tiles of columns.
template <class T>
void check_shapes() {
  check<T>(make_ids(1, 0), 64, 0, GradMode::Overwrite);
  check<T>(make_ids(5, 0), 1, 0, GradMode::Overwrite);
  check<T>(make_ids(60, 3), 129, 0, GradMode::Overwrite);
  check<T>(make_ids(9, 2), 520, 0, GradMode::Overwrite);
  check<T>(make_ids(20, 2), 1032, 0, GradMode::Overwrite);
}

TEST_F(EmbeddingCuda, SinglePrecisionAgreesWithTheCpuInDouble) {
  check_shapes<float>();
}

TEST_F(EmbeddingCuda, BfloatAgreesWithTheCpuInDouble) {
  check_shapes<bf16>();
}

TEST_F(EmbeddingCuda, LongRowsAreCopiedByManyThreads) {
  check_forward<float>(make_ids(3, 0), 5000, 0);  // two tiles of vectors
  check_forward<bf16>(make_ids(3, 0), 2051, 0);   // three of elements
}

TEST_F(EmbeddingCuda, WarpsShareTheRunsThatAreLong) {
  for (const int64_t common : {64, 65, 150}) {
    check<float>(make_ids(common + 30, common), 24, 0, GradMode::Overwrite);
    check<bf16>(make_ids(common + 30, common), 523, 0, GradMode::Accumulate);
  }
}

TEST_F(EmbeddingCuda, ArraysNeedNotBeAligned) {
  check<float>(make_ids(9, 2), 64, 1, GradMode::Overwrite);
  check<bf16>(make_ids(9, 2), 64, 3, GradMode::Accumulate);
}

TEST_F(EmbeddingCuda, GradientsAccumulateOrStayAsTheyAre) {
  for (const GradMode mode : {GradMode::Accumulate, GradMode::Ignore}) {
    check_backward<float>(make_ids(30, 4), 72, 0, mode);
    check_backward<bf16>(make_ids(30, 4), 72, 0, mode);
  }
}

TEST_F(EmbeddingCuda, NoTokensClearTheGradientThatIsOverwritten) {
  check_backward<float>({}, 8, 0, GradMode::Overwrite);
}

}  // namespace
}  // namespace prospect::test
