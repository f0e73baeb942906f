// Where instructions put things, against closed forms of which the emulator's own code knows nothing:
// fragments of mma and of ldmatrix and stmatrix, permuted tiles, matrix descriptors and accumulators of
// wgmma.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <functional>
#include <random>

#include "tests/emulator/device.h"
#include "tests/emulator/kernels/layouts.h"
#include "tests/support/device_case.h"

namespace prospect::emulator::layouts {
namespace {

using test::DeviceBuffer;

/// Small integers: products and sums of them are exact.
class Matrix {
 public:
  Matrix(int rows, int columns, unsigned seed) : rows_(rows), columns_(columns) {
    std::mt19937 random(seed);
    for (int i = 0; i < rows * columns; ++i)
      values_.push_back(static_cast<float>(static_cast<int>(random() % 7) - 3));
  }
  float operator()(int row, int column) const {
    return values_[static_cast<size_t>(row * columns_ + column)];
  }
  uint16_t bits(int row, int column) const { return bf16((*this)(row, column)).bits; }
  int rows() const { return rows_; }
  int columns() const { return columns_; }

 private:
  int rows_, columns_;
  std::vector<float> values_;
};

uint32_t pair(uint16_t low, uint16_t high) {
  return static_cast<uint32_t>(high) << 16 | low;
}

struct Place {
  int row, column;
};

/// mma.m16n8k16: element e of register r of lane l.
Place a_place(int lane, int r, int e) {
  return {lane / 4 + 8 * (r % 2), 2 * (lane % 4) + e + 8 * (r / 2)};
}
Place b_place(int lane, int r, int e) {
  return {2 * (lane % 4) + e + 8 * r, lane / 4};
}
Place c_place(int lane, int r) {
  return {lane / 4 + 8 * (r / 2), 2 * (lane % 4) + r % 2};
}

class Layout : public testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(Device::instance().take_report(), ""); }
};

TEST_F(Layout, MmaFragments) {
  const Matrix a(16, 16, 1), b(16, 8, 2);
  std::vector<uint32_t> fragments_a(128), fragments_b(64);
  for (int lane = 0; lane < 32; ++lane) {
    for (int r = 0; r < 4; ++r) {
      const Place low = a_place(lane, r, 0), high = a_place(lane, r, 1);
      fragments_a[static_cast<size_t>(4 * lane + r)] =
          pair(a.bits(low.row, low.column), a.bits(high.row, high.column));
    }
    for (int r = 0; r < 2; ++r) {
      const Place low = b_place(lane, r, 0), high = b_place(lane, r, 1);
      fragments_b[static_cast<size_t>(2 * lane + r)] =
          pair(b.bits(low.row, low.column), b.bits(high.row, high.column));
    }
  }
  DeviceBuffer<uint32_t> device_a(fragments_a), device_b(fragments_b);
  DeviceBuffer<float> d(128);
  multiply_fragments(device_a.data(), device_b.data(), d.data());
  const std::vector<float> result = d.values();
  for (int lane = 0; lane < 32; ++lane) {
    for (int r = 0; r < 4; ++r) {
      const Place at = c_place(lane, r);
      float sum = 0;
      for (int k = 0; k < 16; ++k) sum += a(at.row, k) * b(k, at.column);
      ASSERT_EQ(result[static_cast<size_t>(4 * lane + r)], sum) << lane << " " << r;
    }
  }
}

/// 16 rows of 32 bytes: element (row, column) is 16 row + column.
std::vector<uint16_t> numbered() {
  std::vector<uint16_t> image(256);
  for (size_t i = 0; i < 256; ++i) image[i] = static_cast<uint16_t>(i);
  return image;
}
uint16_t number(Place place) {
  return static_cast<uint16_t>(16 * place.row + place.column);
}
Place turned(Place place) {
  return {place.column, place.row};
}

/// Lane l gives row row_of(l), 16-byte chunk chunk_of(l); register r must hold places(lane, r, 0 and 1).
void expect_loaded(const std::function<int(int)>& row_of, const std::function<int(int)>& chunk_of,
                   bool transposed, const std::function<Place(int, int, int)>& place) {
  std::vector<uint32_t> rows(32);
  for (int l = 0; l < 32; ++l)
    rows[static_cast<size_t>(l)] = static_cast<uint32_t>(32 * row_of(l) + 16 * chunk_of(l));
  DeviceBuffer<uint16_t> image(numbered());
  DeviceBuffer<uint32_t> device_rows(rows), fragments(128);
  load_fragments(image.data(), 512, device_rows.data(), transposed, fragments.data());
  const std::vector<uint32_t> result = fragments.values();
  for (int lane = 0; lane < 32; ++lane) {
    for (int r = 0; r < 4; ++r) {
      ASSERT_EQ(result[static_cast<size_t>(4 * lane + r)],
                pair(number(place(lane, r, 0)), number(place(lane, r, 1))))
          << lane << " " << r;
    }
  }
}

TEST_F(Layout, LdmatrixGivesFragmentsOfA) {
  const auto low_row = [](int l) { return l & 15; };
  const auto low_chunk = [](int l) { return l >> 4; };
  const auto pair_row = [](int l) { return (l & 7) + 8 * (l >> 4); };
  const auto pair_chunk = [](int l) { return (l >> 3) & 1; };
  expect_loaded(low_row, low_chunk, false, a_place);
  // Of a transposed operand: the matrix lies with its columns as rows.
  expect_loaded(pair_row, pair_chunk, true,
                [](int lane, int r, int e) { return turned(a_place(lane, r, e)); });
  // Two tiles of B, 8 columns each: from [n][k], and from [k][n].
  const auto b_pair = [](int lane, int r, int e) {
    const Place place = b_place(lane, r % 2, e);
    return Place{place.row, place.column + 8 * (r / 2)};
  };
  expect_loaded(pair_row, pair_chunk, false,
                [&](int lane, int r, int e) { return turned(b_pair(lane, r, e)); });
  expect_loaded(low_row, low_chunk, true, b_pair);
}

TEST_F(Layout, StmatrixIsTheInverseOfLdmatrix) {
  std::vector<uint32_t> rows(32), fragments(128);
  for (int l = 0; l < 32; ++l)
    rows[static_cast<size_t>(l)] = static_cast<uint32_t>(32 * (l & 15) + 16 * (l >> 4));
  for (const bool transposed : {false, true}) {
    for (int lane = 0; lane < 32; ++lane) {
      for (int r = 0; r < 4; ++r) {
        // Within the 8 x 8 matrix r, which lies at rows 8 (r % 2) and columns 8 (r / 2).
        Place low{lane / 4, 2 * (lane % 4)}, high{lane / 4, 2 * (lane % 4) + 1};
        if (transposed) low = turned(low), high = turned(high);
        const int row = 8 * (r % 2), column = 8 * (r / 2);
        fragments[static_cast<size_t>(4 * lane + r)] = pair(number({low.row + row, low.column + column}),
                                                            number({high.row + row, high.column + column}));
      }
    }
    DeviceBuffer<uint32_t> device_rows(rows), device_fragments(fragments);
    DeviceBuffer<uint16_t> image(256);
    store_fragments(image.data(), 512, device_rows.data(), transposed, device_fragments.data());
    EXPECT_EQ(image.values(), numbered());
  }
}

/// Where element (row, column) of a tile lies, in units of elements: rows of 64, 32 or 16 elements, whose
/// 16-byte chunks are permuted by the row.
int permuted(int permuted_bytes, int row, int column) {
  const int width = permuted_bytes / 2, chunk = column / 8;
  const int key = permuted_bytes == 128 ? row & 7 : permuted_bytes == 64 ? (row >> 1) & 3 : (row >> 2) & 1;
  return row * width + ((chunk ^ key) << 3) + column % 8;
}

TEST_F(Layout, BoxesArePermutedAsTheMapSays) {
  const Matrix tensor(40, 72, 3);
  std::vector<uint16_t> bits;
  for (int r = 0; r < 40; ++r) {
    for (int c = 0; c < 72; ++c) bits.push_back(tensor.bits(r, c));
  }
  DeviceBuffer<uint16_t> device(bits);
  for (const int bytes : {128, 64, 32}) {
    for (const Place begin : {Place{8, 0}, Place{-3, -5}, Place{30, 40}}) {  // inside; before; ragged behind
      const int width = bytes / 2, height = 24;
      DeviceBuffer<uint16_t> image(static_cast<size_t>(width * height));
      load_box({device.data(), 40, 72, height, width, begin.row, begin.column, bytes}, image.data());
      const std::vector<uint16_t> result = image.values();
      for (int r = 0; r < height; ++r) {
        for (int c = 0; c < width; ++c) {
          const int row = begin.row + r, column = begin.column + c;
          const bool inside = row >= 0 && row < 40 && column >= 0 && column < 72;
          ASSERT_EQ(result[static_cast<size_t>(permuted(bytes, r, c))], inside ? tensor.bits(row, column) : 0)
              << bytes << " " << r << " " << c;
        }
      }
    }
  }
}

TEST_F(Layout, BoxesWithoutPermutationLieRowByRow) {
  std::vector<uint16_t> bits(16 * 160);
  for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint16_t>(i);
  DeviceBuffer<uint16_t> device(bits), image(8 * 136);
  load_box({device.data(), 16, 160, 8, 136, 4, 16, 16}, image.data());
  const std::vector<uint16_t> result = image.values();
  for (size_t r = 0; r < 8; ++r) {
    for (size_t c = 0; c < 136; ++c) ASSERT_EQ(result[r * 136 + c], bits[(r + 4) * 160 + c + 16]);
  }
}

TEST_F(Layout, OneLoadReachesEveryBlockOfACluster) {
  std::vector<uint16_t> bits(16 * 64);
  for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint16_t>(i);
  DeviceBuffer<uint16_t> device(bits), images(2 * 8 * 64);
  load_box_for_cluster({device.data(), 16, 64, 8, 64, 2, 0, 16}, images.data());
  const std::vector<uint16_t> result = images.values();
  for (size_t i = 0; i < 2 * 8 * 64; ++i) ASSERT_EQ(result[i], bits[2 * 64 + i % (8 * 64)]);
}

TEST_F(Layout, StoresLeaveWhatIsOutside) {
  constexpr int kRows = 10, kColumns = 40, kBox = 16;
  std::vector<float> image(kBox * 32);
  for (int r = 0; r < kBox; ++r) {
    for (int c = 0; c < 32; ++c) {  // 4 elements of float in a chunk
      image[static_cast<size_t>(r * 32 + ((c / 4 ^ (r & 7)) * 4) + c % 4)] = static_cast<float>(100 * r + c);
    }
  }
  for (const bool adds : {false, true}) {
    DeviceBuffer<float> tensor(std::vector<float>(kRows * kColumns, 0.5f)), device_image(image);
    store_box({tensor.data(), kRows, kColumns, kBox, 32, 3, 16, 128}, device_image.data(), adds);
    const std::vector<float> result = tensor.values();
    for (int r = 0; r < kRows; ++r) {
      for (int c = 0; c < kColumns; ++c) {
        const bool inside = r >= 3 && c >= 16;
        const float stored = static_cast<float>(100 * (r - 3) + c - 16) + (adds ? 0.5f : 0.0f);
        ASSERT_EQ(result[static_cast<size_t>(r * kColumns + c)], inside ? stored : 0.5f) << r << " " << c;
      }
    }
  }
}

// --- wgmma, on tiles of panels: 64 columns each, permuted by 128 bytes.

constexpr int kRows = 128;

int in_panels(int row, int column) {
  return column / 64 * kRows * 64 + permuted(128, row, column % 64);
}
void put(std::vector<uint16_t>& image, int offset_bytes, const Matrix& matrix) {
  for (int r = 0; r < matrix.rows(); ++r) {
    for (int c = 0; c < matrix.columns(); ++c) {
      image[static_cast<size_t>(offset_bytes / 2 + in_panels(r, c))] = matrix.bits(r, c);
    }
  }
}
uint64_t descriptor(int start, int leading, int stride) {
  return static_cast<uint64_t>(start & 0x3ffff) >> 4 | static_cast<uint64_t>(leading >> 4) << 16 |
         static_cast<uint64_t>(stride >> 4) << 32 | uint64_t{1} << 62;
}
/// Along a row, the k-step j of 16 elements begins 32 bytes further; after four, in the next panel.
int along_rows(int j) {
  return j / 4 * kRows * 128 + j % 4 * 32;
}

/// d[4j + 2h + e] of lane l in warp q is row 16q + 8h + l / 4, column 8j + 2 (l % 4) + e.
void expect_product(const std::vector<float>& sum, const std::function<float(int, int)>& expected) {
  for (int thread = 0; thread < 128; ++thread) {
    for (int i = 0; i < 64; ++i) {
      const int row = 16 * (thread / 32) + 8 * (i / 2 % 2) + thread % 32 / 4,
                column = 8 * (i / 4) + 2 * (thread % 4) + i % 2;
      ASSERT_EQ(sum[static_cast<size_t>(thread * 64 + i)], expected(row, column)) << thread << " " << i;
    }
  }
}

constexpr int kTile = kRows * 128 * 2, kSteps = 8;

std::vector<float> product(const Matrix& a, const Matrix& b, const std::vector<uint64_t>& descriptors,
                           bool a_transposed, bool b_transposed) {
  std::vector<uint16_t> image(kTile);  // two tiles
  put(image, 0, a);
  put(image, kTile, b);
  DeviceBuffer<uint16_t> device(image);
  DeviceBuffer<uint64_t> device_descriptors(descriptors);
  DeviceBuffer<float> sum(128 * 64);
  multiply_shared({device.data(), 2 * kTile, kSteps, device_descriptors.data(), sum.data()}, a_transposed,
                  b_transposed);
  return sum.values();
}

TEST_F(Layout, WgmmaOfRowsByRows) {
  const Matrix a(kRows, 128, 4), b(kRows, 128, 5);
  for (int w = 0; w < 2; ++w) {  // the first or second 64 rows of a
    std::vector<uint64_t> descriptors;
    for (int j = 0; j < kSteps; ++j) {
      descriptors.push_back(descriptor(w * 8192 + along_rows(j), 16, 1024));
      descriptors.push_back(descriptor(kTile + along_rows(j), 16, 1024));
    }
    expect_product(product(a, b, descriptors, false, false), [&](int row, int column) {
      float sum = 0;
      for (int k = 0; k < 128; ++k) sum += a(64 * w + row, k) * b(column, k);
      return sum;
    });
  }
}

TEST_F(Layout, WgmmaOfRowsByColumns) {
  const Matrix a(kRows, 128, 6), b(kRows, 128, 7);  // b [k, n]
  std::vector<uint64_t> descriptors;
  for (int j = 0; j < kSteps; ++j) {
    descriptors.push_back(descriptor(along_rows(j), 16, 1024));
    descriptors.push_back(descriptor(kTile + j * 2048, kRows * 128, 1024));
  }
  expect_product(product(a, b, descriptors, false, true), [&](int row, int column) {
    float sum = 0;
    for (int k = 0; k < 128; ++k) sum += a(row, k) * b(k, column);
    return sum;
  });
}

TEST_F(Layout, WgmmaOfColumnsByRows) {
  const Matrix a(kRows, 128, 8), b(kRows, 128, 9);  // a [k, m]
  for (int w = 0; w < 2; ++w) {
    std::vector<uint64_t> descriptors;
    for (int j = 0; j < kSteps; ++j) {
      descriptors.push_back(descriptor(w * kRows * 128 + j * 2048, 0, 1024));
      descriptors.push_back(descriptor(kTile + along_rows(j), 16, 1024));
    }
    expect_product(product(a, b, descriptors, true, false), [&](int row, int column) {
      float sum = 0;
      for (int k = 0; k < 128; ++k) sum += a(k, 64 * w + row) * b(column, k);
      return sum;
    });
  }
}

TEST_F(Layout, WgmmaWithAInRegistersTakesAccumulatorsAsTheyAre) {
  const Matrix a(64, 128, 10), b(kRows, 128, 11);
  // Register r of step k packs accumulators 8k + 2r and the next.
  std::vector<uint32_t> fragments(kSteps * 128 * 4);
  for (int thread = 0; thread < 128; ++thread) {
    for (int i = 0; i < 64; i += 2) {
      const int row = 16 * (thread / 32) + 8 * (i / 2 % 2) + thread % 32 / 4,
                column = 8 * (i / 4) + 2 * (thread % 4);
      fragments[static_cast<size_t>((i / 8 * 128 + thread) * 4 + i % 8 / 2)] =
          pair(a.bits(row, column), a.bits(row, column + 1));
    }
  }
  std::vector<uint16_t> image(kTile / 2);
  put(image, 0, b);
  DeviceBuffer<uint16_t> device(image);
  DeviceBuffer<uint32_t> device_fragments(fragments);
  for (const bool transposed : {false, true}) {
    std::vector<uint64_t> descriptors;
    for (int j = 0; j < kSteps; ++j) {
      descriptors.push_back(0);
      descriptors.push_back(transposed ? descriptor(j * 2048, kRows * 128, 1024)
                                       : descriptor(along_rows(j), 16, 1024));
    }
    DeviceBuffer<uint64_t> device_descriptors(descriptors);
    DeviceBuffer<float> sum(128 * 64);
    multiply_registers({device.data(), kTile, kSteps, device_descriptors.data(), sum.data()},
                       device_fragments.data(), transposed);
    expect_product(sum.values(), [&](int row, int column) {
      float total = 0;
      for (int k = 0; k < 128; ++k) total += a(row, k) * (transposed ? b(k, column) : b(column, k));
      return total;
    });
  }
}

}  // namespace
}  // namespace prospect::emulator::layouts
