// The product on the CPU by our own hand, after K. Goto and R. van de Geijn, "Anatomy of High-Performance
// Matrix Multiplication" (2008): a tile of y stays in registers while panels of a and b, packed in the order
// in which it reads them, come from the caches.
#include <algorithm>

#include "kernels/common/check.h"
#include "kernels/common/parallel.h"
#include "kernels/common/threads.h"
#include "kernels/matmul/matmul_pairs.h"
#include "kernels/matmul/matmul_ways.h"

namespace prospect::kernels::cpu {

namespace {

constexpr int64_t kBlockRows = 576;     // of which a is packed before the threads multiply
constexpr int64_t kGroupRows = 96;      // of which one thread packs at a time; both whole tiles of any shape
constexpr int64_t kTasksPerThread = 3;  // into which the columns are cut, at least
constexpr int64_t kTaskColumns = 192;  // of a task, at most: its y stays cached from part to part of the sums
constexpr int64_t kPrefetchRows = 96;  // the last rows below a panel, while which the next one is asked for
// Few rows do not pay for packing columns that lie side by side, unless the terms share a set of the caches.
constexpr int64_t kRowsInPlace = 204, kSetBytes = 2048;

/// Whether a tile's columns of b need no packing: then `panel` becomes them as they lie.
template <class T, class Packed>
bool lies_as_packed(Panel<Packed>& panel, const Lines<T>& lines, int64_t rows, bool whole) {
  if constexpr (std::is_same_v<T, Packed>) {
    if (!whole || lines.line_stride != 1 || rows > kRowsInPlace) return false;
    if (lines.term_stride * int64_t{sizeof(T)} % kSetBytes == 0) return false;
    panel = {lines.data, lines.term_stride};
    return true;
  }
  return false;
}

/// Rows [row, row + rows) of y and terms [term, term + terms) of their sums, for which a is packed: by parts
/// of `depth` terms.
template <class Tile>
struct Slab {
  int64_t row, rows, term, terms, depth;
  typename Tile::Packed* packed;

  int64_t tiles() const { return parts(rows, Tile::kRows); }
  typename Tile::Packed* part(int64_t first) const {
    return packed + (first - term) / depth * Tile::packed_count(tiles() * Tile::kRows, depth);
  }
  int64_t depth_of(int64_t first) const { return std::min(depth, term + terms - first); }
};

template <class Tile, class T, class Out>
void pack_slab(const Matmul<T, Out>& args, const Slab<Tile>& slab) {
  const Lines<T> a{args.a, args.transpose_a ? 1 : args.lda, args.transpose_a ? args.lda : 1};
  parallel_for(parts(slab.rows, kGroupRows), [&](int64_t group) {
    const int64_t line = group * kGroupRows, lines = std::min(kGroupRows, slab.rows - line);
    for (int64_t term = slab.term; term < slab.term + slab.terms; term += slab.depth) {
      const int64_t depth = slab.depth_of(term);
      Tile::pack_rows(slab.part(term) + Tile::packed_count(line, depth), a.from(slab.row + line, term), lines,
                      depth);
    }
  });
}

/// Columns of the slab: each panel of b is packed and meets all tiles of rows. Sums that are rounded (Out is
/// not what they add up in) must be whole in one part.
template <class Tile, class T, class Out>
class ColumnTask {
  using C = compute_t<T>;
  using Packed = typename Tile::Packed;
  static constexpr int64_t kWidth = Tile::kColumns;
  static constexpr bool kRounds = !std::is_same_v<C, Out>;

 public:
  ColumnTask(const Matmul<T, Out>& args, const Slab<Tile>& slab)
      : args_(args),
        slab_(slab),
        b_{args.b, args.transpose_b ? args.ldb : 1, args.transpose_b ? 1 : args.ldb} {}

  void run(int64_t column, int64_t end) {
    [[maybe_unused]] const typename Tile::Scope scope;
    // At least one pass, so that an empty sum gives 0.
    for (int64_t term = slab_.term; term == 0 || term < slab_.term + slab_.terms; term += slab_.depth) {
      for (int64_t c = column; c < end; c += kWidth) {
        const int64_t width = std::min(kWidth, end - c);
        const Lines<T> lines = b_.from(c, term);
        Panel<Packed> panel{packed_, kWidth};
        if (!lies_as_packed(panel, lines, slab_.rows, width == kWidth)) {
          Tile::pack_columns(packed_, lines, width, slab_.depth_of(term));
        }
        const bool last = c + kWidth >= end;
        multiply_panel(panel, c, width, term,
                       last ? b_.from(column, term + slab_.depth) : b_.from(c + kWidth, term));
      }
    }
  }

 private:
  /// All tiles below `width` columns. Meanwhile `next` is asked for, which does no harm where there is none.
  void multiply_panel(const Panel<Packed>& panel, int64_t column, int64_t width, int64_t term,
                      const Lines<T>& next) {
    const int64_t depth = slab_.depth_of(term), tiles = slab_.tiles();
    const int64_t late = std::min(tiles, kPrefetchRows / Tile::kRows);
    const bool biased = args_.bias && term == 0, add = term > 0 || args_.y_mode == GradMode::Accumulate;
    C bias[kWidth] = {};
    if (biased) std::transform(args_.bias + column, args_.bias + column + width, bias, load<T>);
    const Packed* a = slab_.part(term);
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t done = tile - (tiles - late);
      if (done >= 0) prefetch_panel<kWidth>(next, depth, done, late);
      const int64_t row = slab_.row + tile * Tile::kRows, height = slab_.rows - tile * Tile::kRows;
      Out* y = args_.y + row * args_.ldy + column;
      prefetch_tile(y, std::min(height, Tile::kRows));
      if (kRounds || height < Tile::kRows || width < kWidth) {
        multiply_beside(a, panel, depth, y, {std::min(height, Tile::kRows), width}, biased ? bias : nullptr,
                        add);
      } else if constexpr (!kRounds) {
        Tile::multiply(a, panel, depth, Destination<C>{y, args_.ldy, biased ? bias : nullptr, add});
      }
      a += Tile::packed_count(Tile::kRows, depth);
    }
  }

  /// What is written after a tile is computed should be there by then.
  void prefetch_tile(const Out* y, int64_t rows) const {
    constexpr int64_t kLine = 64 / int64_t{sizeof(Out)};
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < kWidth; c += kLine) __builtin_prefetch(y + r * args_.ldy + c);
    }
  }

  struct Size {
    int64_t rows, columns;
  };
  /// A whole tile beside y, of which y gets `size`: at an edge to the same bits as elsewhere.
  void multiply_beside(const Packed* a, const Panel<Packed>& panel, int64_t depth, Out* y, Size size,
                       const C* bias, bool add) const {
    alignas(64) C tile[Tile::kRows * kWidth];
    const bool before = add && !kRounds;  // what is rounded is added to y at the end
    if (before) std::fill_n(tile, Tile::kRows * kWidth, C{0});
    for (int64_t r = 0; before && r < size.rows; ++r) {
      for (int64_t c = 0; c < size.columns; ++c) tile[r * kWidth + c] = load(y[r * args_.ldy + c]);
    }
    Tile::multiply(a, panel, depth, Destination<C>{tile, kWidth, bias, before});
    for (int64_t r = 0; r < size.rows; ++r) {
      with_mode(add && !before ? GradMode::Accumulate : GradMode::Overwrite, [&](auto mode) {
        for (int64_t c = 0; c < size.columns; ++c) put(y[r * args_.ldy + c], tile[r * kWidth + c], mode);
      });
    }
  }

  const Matmul<T, Out>& args_;
  const Slab<Tile>& slab_;
  const Lines<T> b_;
  alignas(64) Packed packed_[Tile::packed_count(kWidth, Tile::kMostDepth)];
};

/// The terms of which a is packed at a time.
template <class Tile>
int64_t slab_terms(int64_t inner) {
  return Tile::kParts * Tile::part(inner);
}

template <class Tile, class T, class Out>
void multiply(const Matmul<T, Out>& args) {
  const int64_t rows = part_size(args.rows, parts(args.rows, kBlockRows), Tile::kRows);
  const int64_t tasks = std::max(kTasksPerThread * thread_count(), parts(args.columns, kTaskColumns));
  const int64_t columns = part_size(args.columns, tasks, Tile::kColumns);
  for (int64_t row = 0; row < args.rows; row += rows) {
    for (int64_t term = 0; term == 0 || term < args.inner; term += slab_terms<Tile>(args.inner)) {
      const Slab<Tile> slab{.row = row,
                            .rows = std::min(rows, args.rows - row),
                            .term = term,
                            .terms = std::min(slab_terms<Tile>(args.inner), args.inner - term),
                            .depth = Tile::part(args.inner),
                            .packed = reinterpret_cast<typename Tile::Packed*>(args.scratch)};
      pack_slab(args, slab);
      parallel_for_dynamic(parts(args.columns, columns), [&](int64_t task) {
        const int64_t column = task * columns;
        ColumnTask<Tile, T, Out>(args, slab).run(column, std::min(args.columns, column + columns));
      });
    }
  }
}

template <class Tile>
int64_t slab_bytes(int64_t rows, int64_t inner) {
  const int64_t lines = std::min(parts(rows, Tile::kRows) * Tile::kRows, kBlockRows);
  const int64_t depth = Tile::part(inner), count = parts(std::min(inner, slab_terms<Tile>(inner)), depth);
  return count * Tile::packed_count(lines, depth) * int64_t{sizeof(typename Tile::Packed)};
}

/// Calls body() with the best tile that this processor has for T.
template <class T, class Body>
auto with_tile(const Body& body) {
  if constexpr (std::is_same_v<T, bf16>) {
    if (AmxTile::usable()) return body.template operator()<AmxTile>();
    if (Avx512PairTile::usable()) return body.template operator()<Avx512PairTile>();
  }
  if (Avx512Tile<T>::usable()) return body.template operator()<Avx512Tile<T>>();
  return body.template operator()<Avx2Tile<T>>();
}

}  // namespace

template <class T, class Out>
void matmul_blocked(const Matmul<T, Out>& args) {
  if (args.y_mode == GradMode::Ignore || args.rows == 0 || args.columns == 0) return;
  CHECK(args.scratch || args.inner == 0, "matmul: scratch is missing");
  with_tile<T>([&]<class Tile>() {
    CHECK((std::is_same_v<Out, compute_t<T>> || args.inner <= Tile::part(args.inner)),
          "matmul: {} terms are not summed in one part, so not rounded once", args.inner);
    multiply<Tile>(args);
  });
}

template <class T>
int64_t matmul_blocked_part(int64_t inner) {
  return with_tile<T>([&]<class Tile>() { return Tile::part(inner); });
}

template <class T>
int64_t matmul_blocked_scratch_bytes(int64_t rows, int64_t inner) {
  return with_tile<T>([&]<class Tile>() { return slab_bytes<Tile>(rows, inner); });
}

template void matmul_blocked(const Matmul<float>&);
template void matmul_blocked(const Matmul<double>&);
template void matmul_blocked(const Matmul<bf16>&);
template void matmul_blocked(const Matmul<bf16, float>&);
template int64_t matmul_blocked_part<bf16>(int64_t);
template int64_t matmul_blocked_scratch_bytes<float>(int64_t, int64_t);
template int64_t matmul_blocked_scratch_bytes<double>(int64_t, int64_t);
template int64_t matmul_blocked_scratch_bytes<bf16>(int64_t, int64_t);

}  // namespace prospect::kernels::cpu
