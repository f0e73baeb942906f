#pragma once

#include <cstring>

#include "kernels/common/vector.h"
#include "kernels/matmul/matmul_panel.h"

/// Tiles of y of matmul_blocked(), whose sums stay in registers; host code only.
///
/// A tile has Packed, the type of what it reads; kRows, kColumns; kParts, so many parts of the sums are
/// packed of a at a time; part(inner), the terms of one; packed_count(lines, depth), how many Packed those
/// take; pack_rows() and pack_columns(); multiply(); Scope, which lives while a thread multiplies.
namespace prospect::kernels::cpu {

/// Where a tile's sums go: y = sum + bias + y; bias may be null, y counts if `add`.
template <class C>
struct Destination {
  C* y;
  int64_t ldy;
  const C* bias;
  bool add;
};

/// A tile's columns of b, one term after another: packed, or as they lie.
template <class Packed>
struct Panel {
  const Packed* data;
  int64_t stride;
};

/// How many parts of `size` cover `total`.
inline int64_t parts(int64_t total, int64_t size) {
  return (total + size - 1) / size;
}
/// The size of `count` equal parts of `total`, rounded up to whole steps.
inline int64_t part_size(int64_t total, int64_t count, int64_t step) {
  return parts(parts(total, count), step) * step;
}
/// The size of the fewest equal parts that are at most `most`; a step where `total` is 0.
inline int64_t equal_part(int64_t total, int64_t most, int64_t step) {
  total = std::max<int64_t>(1, total);
  return part_size(total, parts(total, most), step);
}

/// A tile of two vectors of kBytes in each of kTileRows rows.
template <class T, int64_t kTileRows, int64_t kBytes>
struct VectorTile {
  using C = compute_t<T>;
  using Packed = C;
  struct Scope {};
  static constexpr int64_t kRows = kTileRows, kWidth = kBytes / int64_t{sizeof(C)}, kColumns = 2 * kWidth;
  static constexpr int64_t kParts = 6, kMostDepth = 192;

  static int64_t part(int64_t inner) { return equal_part(inner, kMostDepth, 8); }
  static constexpr int64_t packed_count(int64_t lines, int64_t depth) { return lines * depth; }
  static void pack_rows(C* packed, const Lines<T>& lines, int64_t count, int64_t depth) {
    pack_panels<kRows>(packed, lines, count, depth);
  }
  static void pack_columns(C* packed, const Lines<T>& lines, int64_t count, int64_t depth) {
    pack_panel<kColumns>(packed, lines, count, depth);
  }

 protected:
  /// A sum takes its terms one by one, so its bits do not depend on the shape of the tile.
  [[gnu::always_inline]] static inline void multiply_here(const C* __restrict a, const Panel<C>& panel,
                                                          int64_t depth, const Destination<C>& to) {
    using Lanes = typename VectorOf<C, kBytes>::type;
    const C* __restrict b = panel.data;
    const int64_t stride = panel.stride;
    Lanes sums[kRows][2] = {};
#pragma GCC unroll 4
    for (int64_t term = 0; term < depth; ++term) {
      Lanes b0, b1;
      std::memcpy(&b0, b, kBytes);
      std::memcpy(&b1, b + kWidth, kBytes);
#pragma GCC unroll 12
      for (int64_t row = 0; row < kRows; ++row) {
        sums[row][0] += a[row] * b0;
        sums[row][1] += a[row] * b1;
      }
      a += kRows;
      b += stride;
    }
#pragma GCC unroll 12
    for (int64_t row = 0; row < kRows; ++row) {
#pragma GCC unroll 2
      for (int64_t half = 0; half < 2; ++half) {
        C* y = to.y + row * to.ldy + half * kWidth;
        Lanes result = sums[row][half], other;
        if (to.bias) {
          std::memcpy(&other, to.bias + half * kWidth, kBytes);
          result += other;
        }
        if (to.add) {
          std::memcpy(&other, y, kBytes);
          result += other;
        }
        std::memcpy(y, &result, kBytes);
      }
    }
  }
};

/// 12 of the 16 registers of 32 bytes hold sums; a term costs 8 loads and 12 multiply-adds.
template <class T>
struct Avx2Tile : VectorTile<T, 6, 32> {
  using C = compute_t<T>;
  [[gnu::noinline]] static void multiply(const C* a, const Panel<C>& b, int64_t depth,
                                         const Destination<C>& to) {
    Avx2Tile::multiply_here(a, b, depth, to);
  }
};

// What is built without fused multiply-adds would round otherwise in a tile that has them.
#if defined(__x86_64__) && defined(__FMA__)
/// 24 of the 32 registers of 64 bytes; a term costs 14 loads and 24 multiply-adds.
template <class T>
struct Avx512Tile : VectorTile<T, 12, 64> {
  using C = compute_t<T>;
  static bool usable() { return __builtin_cpu_supports("avx512f"); }
  [[gnu::noinline, gnu::target("avx512f")]] static void multiply(const C* a, const Panel<C>& b, int64_t depth,
                                                                 const Destination<C>& to) {
    Avx512Tile::multiply_here(a, b, depth, to);
  }
};
#else
template <class T>
struct Avx512Tile : Avx2Tile<T> {
  static bool usable() { return false; }
};
#endif

}  // namespace prospect::kernels::cpu
