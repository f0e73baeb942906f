// Products of a warpgroup: 64 x N x 16, bf16 in, float out. Descriptors and layouts: PTX ISA, "Asynchronous
// Warpgroup Level Matrix Shared Memory Layout" and "Register Fragments and Shared Memory Matrix Layouts".
#include <fmt/format.h>

#include <bit>
#include <cstdlib>
#include <cstring>

#include "tests/emulator/block.h"
#include "tests/emulator/reach.h"
#include "tests/emulator/swizzle.h"
#include "tests/emulator/warpgroup.h"

namespace prospect::emulator {
namespace {

constexpr int kRows = 16, kDepth = 16;  // of a warp's share
constexpr size_t kMostColumns = 256;

/// A matrix in shared memory as its descriptor says, in units of bytes. An atom is 8 rows of `width` bytes.
struct Matrix {
  uint32_t start, leading, stride, width;
  bool is_transposed;

  Matrix(uint64_t descriptor, bool transposed)
      : start(static_cast<uint32_t>(descriptor & 0x3fff) << 4),
        leading(static_cast<uint32_t>(descriptor >> 16 & 0x3fff) << 4),
        stride(static_cast<uint32_t>(descriptor >> 32 & 0x3fff) << 4),
        width(std::array{16u, 128u, 64u, 32u}[descriptor >> 62]),
        is_transposed(transposed) {}

  /// Where 8 elements begin that lie side by side: along k, or along rows when transposed.
  uint32_t chunk(uint32_t row, uint32_t k) const {
    uint32_t address = start;
    if (is_transposed && width == 16) {
      address += row / 8 * stride + k / 8 * leading + k % 8 * 16;
    } else if (is_transposed) {
      const uint32_t side = width / 2;
      address += row / side * leading + k / 8 * stride + k % 8 * width + row % side * 2;
    } else if (width == 16) {
      address += row / 8 * stride + k / 8 * leading + row % 8 * 16;
    } else {
      address += row / 8 * stride + row % 8 * width + k * 2;
    }
    return swizzle(address, width);
  }
};

/// Calls visit(row, k, place) for each 8 elements of rows [first, first + count) and 16 k.
template <class Visit>
void each_chunk(const Warp& warp, const Instruction& instruction, const Matrix& matrix, uint32_t first,
                uint32_t count, const Visit& visit) {
  const uint32_t row_step = matrix.is_transposed ? 8 : 1, k_step = matrix.is_transposed ? 1 : 8;
  for (uint32_t row = first; row < first + count; row += row_step) {
    for (uint32_t k = 0; k < kDepth; k += k_step) {
      visit(row, k, find_shared(warp, instruction, 0, Space::Shared, matrix.chunk(row, k), 16, "wgmma read"));
    }
  }
}

/// Both operands, as far as they lie in shared memory: visit(is_a, row of the share, k, place).
template <class Visit>
void each_operand_chunk(const Warp& warp, const Warpgroup::Product& product, const ProductShape& shape,
                        const Visit& visit) {
  const Instruction& instruction = *product.instruction;
  if (!shape.a_in_registers) {
    const auto first = static_cast<uint32_t>(warp.index % Warpgroup::kWarps * kRows);
    each_chunk(
        warp, instruction, Matrix(product.a, shape.a_transposed), first, kRows,
        [&](uint32_t row, uint32_t k, const SharedPlace& place) { visit(true, row - first, k, place); });
  }
  each_chunk(warp, instruction, Matrix(product.b, shape.b_transposed), 0,
             static_cast<uint32_t>(shape.columns),
             [&](uint32_t row, uint32_t k, const SharedPlace& place) { visit(false, row, k, place); });
}

uint64_t mix(uint64_t hash, const std::byte* chunk) {
  uint64_t words[2];
  std::memcpy(words, chunk, sizeof(words));
  for (const uint64_t word : words) hash = std::rotl((hash ^ word) * 0x9e3779b97f4a7c15ull, 29);
  return hash;
}

float widen(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

void check_descriptor(const Warp& warp, const Instruction& instruction, uint64_t descriptor) {
  if ((descriptor >> 49 & 7) != 0) {
    warp.fault(instruction, 0,
               "a matrix descriptor with a base offset: start panels at multiples of 1024 bytes");
  }
}

}  // namespace

ProductShape shape_of(const Warp& warp, const Instruction& instruction) {
  const auto immediate = [&](size_t from_end) {
    const Operand& operand = instruction.operands[instruction.operands.size() - from_end];
    return static_cast<int32_t>(const_cast<Warp&>(warp).read(operand, 0));
  };
  const bool in_registers = instruction.op->variant < 0;
  ProductShape shape{};
  shape.columns = static_cast<size_t>(std::abs(instruction.op->variant));
  shape.a_in_registers = in_registers;
  shape.a_transposed = !in_registers && immediate(2) != 0;
  shape.b_transposed = immediate(1) != 0;
  shape.sign_a = static_cast<float>(immediate(in_registers ? 3 : 4));
  shape.sign_b = static_cast<float>(immediate(in_registers ? 2 : 3));
  return shape;
}

uint64_t checksum_of(const Warp& warp, const Warpgroup::Product& product, const ProductShape& shape) {
  uint64_t hash = 0;
  each_operand_chunk(warp, product, shape, [&](bool, uint32_t, uint32_t, const SharedPlace& place) {
    hash = mix(hash, place.bytes);
  });
  return hash;
}

void multiply(Warp& warp, const Instruction& instruction, const ProductShape& shape,
              Warpgroup::Product& product) {
  check_descriptor(warp, instruction, product.b);
  if (!shape.a_in_registers) check_descriptor(warp, instruction, product.a);
  static thread_local float a[kRows][kDepth], b[kDepth][kMostColumns], c[kRows][kMostColumns];
  each_operand_chunk(warp, product, shape,
                     [&](bool is_a, uint32_t row, uint32_t k, const SharedPlace& place) {
                       product.checksum = mix(product.checksum, place.bytes);
                       uint16_t chunk[8];
                       std::memcpy(chunk, place.bytes, sizeof(chunk));
                       const bool is_transposed = is_a ? shape.a_transposed : shape.b_transposed;
                       for (uint32_t i = 0; i < 8; ++i) {
                         const uint32_t r = is_transposed ? row + i : row, z = is_transposed ? k : k + i;
                         (is_a ? a[r][z] : b[z][r]) = widen(chunk[i]);
                       }
                     });
  // Fragments of lane l, with g = l / 4 and t = l % 4. A: register r holds row g + 8 (r % 2), columns
  // 2t + 8 (r / 2) and the next. Accumulators: register 4j + 2h + e holds row g + 8h, column 8j + 2t + e.
  const size_t half = shape.columns / 2;
  for (int lane = 0; lane < kLanes; ++lane) {
    const int g = lane / 4, t = 2 * (lane % 4);
    for (int r = 0; shape.a_in_registers && r < 4; ++r) {
      const uint32_t pair = warp.lanes<uint32_t>(instruction.operands[half + static_cast<size_t>(r)])[lane];
      a[g + 8 * (r % 2)][t + 8 * (r / 2)] = widen(static_cast<uint16_t>(pair));
      a[g + 8 * (r % 2)][t + 8 * (r / 2) + 1] = widen(static_cast<uint16_t>(pair >> 16));
    }
    for (size_t i = 0; i < half; ++i) {
      float& element = c[g + 8 * static_cast<int>(i / 2 % 2)][8 * (i / 4) + static_cast<size_t>(t) + i % 2];
      element = product.accumulates ? warp.lanes<float>(instruction.operands[i])[lane] : 0.0f;
    }
  }
  const float sign = shape.sign_a * shape.sign_b;
  for (int row = 0; row < kRows; ++row) {
    for (int k = 0; k < kDepth; ++k) {
      const float factor = sign * a[row][k];
      for (size_t column = 0; column < shape.columns; ++column) c[row][column] += factor * b[k][column];
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    const int g = lane / 4, t = 2 * (lane % 4);
    for (size_t i = 0; i < half; ++i) {
      warp.lanes<float>(instruction.operands[i])[lane] =
          c[g + 8 * static_cast<int>(i / 2 % 2)][8 * (i / 4) + static_cast<size_t>(t) + i % 2];
    }
  }
}

void check_reads(const Warp& warp, const Warpgroup::Product& product, const ProductShape& shape,
                 const Checker::Work& work) {
  each_operand_chunk(warp, product, shape, [&](bool, uint32_t, uint32_t, const SharedPlace& place) {
    warp.block->launch.checker->shared_work(work, *place.block, place.offset, 16, Access::Read);
  });
}

}  // namespace prospect::emulator
