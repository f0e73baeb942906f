// Tensor-core products and the loads and stores of their fragments. The layouts of fragments are those of the
// PTX manual, sections "Matrix fragments for mma.m16n8k16" and "ldmatrix".
#include <algorithm>
#include <bit>
#include <cstring>

#include "tests/emulator/block.h"
#include "tests/emulator/meeting.h"
#include "tests/emulator/op_table.h"

namespace prospect::emulator {
namespace {

float low(uint32_t pair) {
  return std::bit_cast<float>(pair << 16);
}
float high(uint32_t pair) {
  return std::bit_cast<float>(pair & 0xffff0000u);
}

/// D = A B + C, A 16 x 16, B 16 x 8. Operands: 4 of D, 4 of A, 2 of B, 4 of C. With g = lane / 4, t = lane %
/// 4, register r of A holds row g + 8 (r % 2), columns 2t + 8 (r / 2) and the next; of B rows 2t + 8r and the
/// next, column g; of C and D row g + 8 (r / 2), column 2t + r % 2.
void multiply_m16n8k16(Warp& warp, const Instruction& instruction, LaneMask members) {
  const auto& operands = instruction.operands;
  float a[16][16], b[16][8], c[16][8];
  for (int lane = 0; lane < kLanes; ++lane) {
    const int g = lane / 4, t = 2 * (lane % 4);
    for (int r = 0; r < 4; ++r) {
      const uint32_t pair = warp.lanes<uint32_t>(operands[static_cast<size_t>(4 + r)])[lane];
      a[g + 8 * (r % 2)][t + 8 * (r / 2)] = low(pair);
      a[g + 8 * (r % 2)][t + 8 * (r / 2) + 1] = high(pair);
      c[g + 8 * (r / 2)][t + r % 2] = warp.lanes<float>(operands[static_cast<size_t>(10 + r)])[lane];
    }
    for (int r = 0; r < 2; ++r) {
      const uint32_t pair = warp.lanes<uint32_t>(operands[static_cast<size_t>(8 + r)])[lane];
      b[t + 8 * r][g] = low(pair);
      b[t + 8 * r + 1][g] = high(pair);
    }
  }
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < 16; ++k) {
      for (int column = 0; column < 8; ++column) c[row][column] += a[row][k] * b[k][column];
    }
  }
  for_lanes(members, [&](int lane) {
    for (int r = 0; r < 4; ++r) {
      warp.lanes<float>(operands[static_cast<size_t>(r)])[lane] =
          c[lane / 4 + 8 * (r / 2)][2 * (lane % 4) + r % 2];
    }
  });
}

/// 8 x 8 matrices of 16 bits; lane 8j + i gives the address of row i of matrix j, of 16 bytes.
using Matrix = uint16_t[8][8];

/// The lanes that give the addresses of rows.
LaneMask rows(int count) {
  return count == 4 ? kAllLanes : (1u << 8 * count) - 1;
}

std::byte* row_of(Warp& warp, const Instruction& instruction, const Operand& address, int lane,
                  Access access) {
  return warp.reach(instruction, lane, Space::Shared,
                    warp.read(address, lane) + static_cast<uint64_t>(address.offset), 16, access);
}

/// Lane l holds elements 2 (l % 4) and the next of row l / 4, or of column l / 4 when transposed.
template <int count, bool transposed>
void load_matrices(Warp& warp, const Instruction& instruction, LaneMask members) {
  count_request(warp, instruction, rows(count), Space::Shared, instruction.operands[count], 16, Access::Read);
  Matrix matrices[count];
  for (int i = 0; i < 8 * count; ++i) {
    std::memcpy(matrices[i / 8][i % 8],
                row_of(warp, instruction, instruction.operands[count], i, Access::Read), 16);
  }
  for_lanes(members, [&](int lane) {
    const int row = lane / 4, column = 2 * (lane % 4);
    for (int j = 0; j < count; ++j) {
      const Matrix& m = matrices[j];
      const uint32_t first = transposed ? m[column][row] : m[row][column],
                     second = transposed ? m[column + 1][row] : m[row][column + 1];
      warp.lanes<uint32_t>(instruction.operands[static_cast<size_t>(j)])[lane] = first | second << 16;
    }
  });
}

template <int count, bool transposed>
void store_matrices(Warp& warp, const Instruction& instruction, LaneMask) {
  count_request(warp, instruction, rows(count), Space::Shared, instruction.operands[0], 16, Access::Write);
  Matrix matrices[count];
  for (int lane = 0; lane < kLanes; ++lane) {
    const int row = lane / 4, column = 2 * (lane % 4);
    for (int j = 0; j < count; ++j) {
      Matrix& m = matrices[j];
      const uint32_t pair = warp.lanes<uint32_t>(instruction.operands[static_cast<size_t>(1 + j)])[lane];
      (transposed ? m[column][row] : m[row][column]) = static_cast<uint16_t>(pair);
      (transposed ? m[column + 1][row] : m[row][column + 1]) = static_cast<uint16_t>(pair >> 16);
    }
  }
  for (int i = 0; i < 8 * count; ++i) {
    std::memcpy(row_of(warp, instruction, instruction.operands[0], i, Access::Write), matrices[i / 8][i % 8],
                16);
  }
}

template <int count>
void add_matrices(OpTable& table, const char* load_letters, const char* store_letters) {
  const std::string size = ".m8n8.x" + std::to_string(count);
  const std::string load = "ldmatrix.sync.aligned" + size, store = "stmatrix.sync.aligned" + size;
  const std::string where = ".shared{,::cta}.b16";
  table.add(load + where, load_letters, whole_warp<load_matrices<count, false>>, Flow::Wait);
  table.add(load + ".trans" + where, load_letters, whole_warp<load_matrices<count, true>>, Flow::Wait);
  table.add(store + where, store_letters, whole_warp<store_matrices<count, false>>, Flow::Wait);
  table.add(store + ".trans" + where, store_letters, whole_warp<store_matrices<count, true>>, Flow::Wait);
}

}  // namespace

void add_matrix_ops(OpTable& table) {
  table.add("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "(WWWW)(wwww)(ww)(wwww)",
            whole_warp<multiply_m16n8k16>, Flow::Wait);
  add_matrices<1>(table, "(W)a", "a(w)");
  add_matrices<2>(table, "(WW)a", "a(ww)");
  add_matrices<4>(table, "(WWWW)a", "a(wwww)");
}

}  // namespace prospect::emulator
