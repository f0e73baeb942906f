// The product on the CPU by our own hand, after K. Goto and R. van de Geijn, "Anatomy of High-Performance
// Matrix Multiplication" (2008): a tile of y stays in registers while panels of a and b, packed in the order
// in which it reads them, come from the caches.
#include <algorithm>

#include "kernels/common/check.h"
#include "kernels/common/parallel.h"
#include "kernels/common/threads.h"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/matmul_panel.h"

namespace prospect::kernels::cpu {

namespace {

// A tile takes 12 of AVX2's 16 registers; a term of it costs 8 loads and 12 multiply-adds.
constexpr int64_t kTileRows = 6;
template <class T>
constexpr int64_t kTileColumns = 2 * kLanes<T>;
// Terms at a time, at most: a panel of b is then 12 KiB of the L1 cache, and the next one as much.
constexpr int64_t kDepth = 192;
constexpr int64_t kParts = 6;           // so many times those are packed of a before the threads multiply
constexpr int64_t kBlockRows = 576;     // so many rows
constexpr int64_t kTasksPerThread = 3;  // into which the columns are cut
constexpr int64_t kPrefetchTiles = 16;  // the last tiles of a panel, while which the next one is asked for
// Few rows do not pay for packing columns that lie side by side, unless the terms share a set of the caches.
constexpr int64_t kFewTiles = 34, kSetBytes = 2048;

/// Where a tile's sums go: y = alpha * sum + bias + y; bias may be null, y counts if `add`.
template <class T>
struct Destination {
  T* y;
  int64_t ldy;
  const T* bias;
  bool add;
  T alpha;
};

/// kTileColumns columns of b, one term after another: packed, or as they lie.
template <class T>
struct Panel {
  const T* data;
  int64_t stride;
};

/// A whole tile from a panel of a and one of b.
template <class T>
[[gnu::noinline]] void multiply_tile(const T* __restrict a, const Panel<T>& panel, int64_t depth,
                                     const Destination<T>& to) {
  const T* __restrict b = panel.data;
  const int64_t stride = panel.stride;
  Vector<T> sums[kTileRows][2] = {};
#pragma GCC unroll 6
  for (int64_t row = 0; row < kTileRows; ++row) __builtin_prefetch(to.y + row * to.ldy);
#pragma GCC unroll 4
  for (int64_t term = 0; term < depth; ++term) {
    const Vector<T> b0 = load_vector(b), b1 = load_vector(b + kLanes<T>);
#pragma GCC unroll 6
    for (int64_t row = 0; row < kTileRows; ++row) {
      sums[row][0] += a[row] * b0;
      sums[row][1] += a[row] * b1;
    }
    a += kTileRows;
    b += stride;
  }
#pragma GCC unroll 6
  for (int64_t row = 0; row < kTileRows; ++row) {
#pragma GCC unroll 2
    for (int64_t half = 0; half < 2; ++half) {
      T* y = to.y + row * to.ldy + half * kLanes<T>;
      Vector<T> result = to.alpha * sums[row][half];
      if (to.bias) result += load_vector(to.bias + half * kLanes<T>);
      if (to.add) result += load_vector(y);
      store_vector(y, result);
    }
  }
}

/// A tile at the edge of y, of rows x columns: computed as a whole one beside y, so to the same bits.
template <class T>
void multiply_edge(const T* a, const Panel<T>& b, int64_t depth, const Destination<T>& to, int64_t rows,
                   int64_t columns) {
  constexpr int64_t kWidth = kTileColumns<T>;
  T y[kTileRows * kWidth] = {}, bias[kWidth] = {};
  for (int64_t row = 0; row < rows; ++row) std::copy_n(to.y + row * to.ldy, columns, y + row * kWidth);
  if (to.bias) std::copy_n(to.bias, columns, bias);
  multiply_tile<T>(a, b, depth, {y, kWidth, to.bias ? bias : nullptr, to.add, to.alpha});
  for (int64_t row = 0; row < rows; ++row) std::copy_n(y + row * kWidth, columns, to.y + row * to.ldy);
}

int64_t parts(int64_t total, int64_t size) {
  return (total + size - 1) / size;
}

/// The size of `count` equal parts of `total`, rounded up to whole steps.
int64_t part_size(int64_t total, int64_t count, int64_t step) {
  return parts(parts(total, count), step) * step;
}

/// Rows [row, row + rows) of y and terms [term, term + terms) of their sums, for which a is packed: by parts
/// of `depth` terms, each as pack_panels() makes it.
template <class T>
struct Slab {
  int64_t row, rows, term, terms, depth;
  T* packed;

  int64_t tiles() const { return parts(rows, kTileRows); }
  T* part(int64_t first) const { return packed + (first - term) * tiles() * kTileRows; }
  int64_t part_depth(int64_t first) const { return std::min(depth, term + terms - first); }
};

template <class T>
void pack_slab(const Matmul<T>& args, const Slab<T>& slab) {
  constexpr int64_t kGroup = 16 * kTileRows;
  const Lines<T> a{args.a, args.transpose_a ? 1 : args.lda, args.transpose_a ? args.lda : 1};
  parallel_for(parts(slab.rows, kGroup), [&](int64_t group) {
    const int64_t line = group * kGroup, lines = std::min(kGroup, slab.rows - line);
    for (int64_t term = slab.term; term < slab.term + slab.terms; term += slab.depth) {
      const int64_t depth = slab.part_depth(term);
      pack_panels<kTileRows>(slab.part(term) + line * depth, a.from(slab.row + line, term), lines, depth);
    }
  });
}

/// All tiles of the slab below one panel of b, which holds `width` columns from `column` on and `depth` terms
/// from `term` on. Meanwhile `next`, as deep, is asked for, which does no harm where there is none.
template <class T>
void multiply_panel(const Matmul<T>& args, const Slab<T>& slab, const Panel<T>& panel, int64_t column,
                    int64_t width, int64_t term, const Lines<T>& next) {
  const int64_t depth = slab.part_depth(term), tiles = slab.tiles();
  const int64_t late = std::min(tiles, kPrefetchTiles);
  Destination<T> to{.y = args.y + slab.row * args.ldy + column,
                    .ldy = args.ldy,
                    .bias = args.bias && term == 0 ? args.bias + column : nullptr,
                    .add = term > 0 || args.y_mode == GradMode::Accumulate,
                    .alpha = static_cast<T>(args.alpha)};
  const T* a = slab.part(term);
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t done = tile - (tiles - late);
    if (done >= 0) prefetch_panel<kTileColumns<T>>(next, depth, done, late);
    const int64_t height = std::min(kTileRows, slab.rows - tile * kTileRows);
    if (height == kTileRows && width == kTileColumns<T>) {
      multiply_tile(a, panel, depth, to);
    } else {
      multiply_edge(a, panel, depth, to, height, width);
    }
    a += kTileRows * depth;
    to.y += kTileRows * args.ldy;
  }
}

/// Columns [column, column + columns) of the slab.
template <class T>
void multiply_columns(const Matmul<T>& args, const Slab<T>& slab, int64_t column, int64_t columns) {
  constexpr int64_t kWidth = kTileColumns<T>;
  const Lines<T> b{args.b, args.transpose_b ? args.ldb : 1, args.transpose_b ? 1 : args.ldb};
  const bool as_it_lies =
      b.line_stride == 1 && slab.tiles() <= kFewTiles && b.term_stride * sizeof(T) % kSetBytes != 0;
  const int64_t end = column + columns;
  alignas(64) T packed[kWidth * kDepth];
  // At least one pass, so that an empty sum gives 0.
  for (int64_t term = slab.term; term == 0 || term < slab.term + slab.terms; term += slab.depth) {
    for (int64_t c = column; c < end; c += kWidth) {
      const int64_t width = std::min(kWidth, end - c);
      const bool in_place = as_it_lies && width == kWidth;
      if (!in_place) pack_panel<kWidth>(packed, b.from(c, term), width, slab.part_depth(term));
      const Panel<T> panel = in_place ? Panel<T>{b.at(c, term), b.term_stride} : Panel<T>{packed, kWidth};
      const Lines<T> next = c + kWidth < end ? b.from(c + kWidth, term) : b.from(column, term + slab.depth);
      multiply_panel(args, slab, panel, c, width, term, next);
    }
  }
}

}  // namespace

template <class T>
void matmul_blocked(const Matmul<T>& args) {
  if (args.y_mode == GradMode::Ignore || args.rows == 0 || args.columns == 0) return;
  CHECK(args.scratch || args.inner == 0, "matmul: scratch is missing");
  const int64_t inner = std::max<int64_t>(1, args.inner);
  const int64_t depth = part_size(inner, parts(inner, kDepth), 8), chunk = kParts * depth;
  const int64_t rows = part_size(args.rows, parts(args.rows, kBlockRows), kTileRows);
  const int64_t columns = part_size(args.columns, kTasksPerThread * thread_count(), kTileColumns<T>);
  for (int64_t row = 0; row < args.rows; row += rows) {
    for (int64_t term = 0; term == 0 || term < args.inner; term += chunk) {
      const Slab<T> slab{.row = row,
                         .rows = std::min(rows, args.rows - row),
                         .term = term,
                         .terms = std::min(chunk, args.inner - term),
                         .depth = depth,
                         .packed = reinterpret_cast<T*>(args.scratch)};
      pack_slab(args, slab);
      parallel_for_dynamic(parts(args.columns, columns), [&](int64_t task) {
        const int64_t column = task * columns;
        multiply_columns(args, slab, column, std::min(columns, args.columns - column));
      });
    }
  }
}

template <class T>
int64_t matmul_blocked_scratch_bytes(int64_t rows, int64_t inner) {
  const int64_t lines = std::min(parts(rows, kTileRows) * kTileRows, kBlockRows);
  return lines * std::min(inner, kParts * kDepth) * int64_t{sizeof(T)};
}

template void matmul_blocked(const Matmul<float>&);
template void matmul_blocked(const Matmul<double>&);
template int64_t matmul_blocked_scratch_bytes<float>(int64_t, int64_t);
template int64_t matmul_blocked_scratch_bytes<double>(int64_t, int64_t);

}  // namespace prospect::kernels::cpu
