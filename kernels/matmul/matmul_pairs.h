#pragma once

#include "kernels/matmul/matmul_tile.h"

/// Tiles of matmul_blocked() for processors that multiply bf16: a word holds a pair of terms. Their products
/// are summed in float, but not one after another as in the other tiles, and to what y holds.
namespace prospect::kernels::cpu {

/// 32 x 32 sums. A panel holds blocks of 16 pairs, each of two halves: 16 rows of 16 pairs, or 16 pairs of 16
/// columns. Beyond the last term and the last line there are zeros.
struct PairTile {
  using Packed = uint32_t;
  struct Scope {};
  static constexpr int64_t kRows = 32, kColumns = 32, kParts = 1, kMostDepth = 1024;

  static int64_t part(int64_t inner) { return equal_part(inner, kMostDepth, 32); }
  static constexpr int64_t packed_count(int64_t lines, int64_t depth) {
    return lines * ((depth + 31) / 32 * 16);
  }
  static void pack_rows(uint32_t* packed, const Lines<bf16>& lines, int64_t count, int64_t depth);
  static void pack_columns(uint32_t* packed, const Lines<bf16>& lines, int64_t count, int64_t depth);
};

/// AMX: a block is 4 loads of a tile register and 4 products.
struct AmxTile : PairTile {
  /// Asks the system for the registers, the first time.
  static bool usable();
  /// The shape of the registers of the calling thread, while this lives.
  struct Scope {
    Scope();
    ~Scope();
  };
  static void multiply(const uint32_t* a, const Panel<uint32_t>& b, int64_t depth,
                       const Destination<float>& to);
};

/// AVX512_BF16.
struct Avx512PairTile : PairTile {
  static bool usable();
  static void multiply(const uint32_t* a, const Panel<uint32_t>& b, int64_t depth,
                       const Destination<float>& to);
};

}  // namespace prospect::kernels::cpu
