#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/attention/attention.h"
#include "kernels/common/bf16.h"
#include "kernels/common/check.h"
#include "kernels/common/threads.h"
#include "kernels/common/vector.h"

/// Tiles of attention on the CPU, shared by forward and backward; host code only.
/// The heads of a group share keys, so they are rows of one tile: row r of a sequence is query r / group of
/// head r % group. Score tiles are stored transposed, [key][row]: the softmax of a row then runs down a SIMD
/// lane without sums across lanes, and keys and values are read in place, never transposed.
namespace prospect::kernels::cpu {

constexpr int64_t kRowTile = 96;  ///< rows of a tile: a multiple of 6 (product blocks) and 16 (lanes)
constexpr int64_t kKeyTile = 64;
constexpr int64_t kMaxHeadDim = 256;

/// A matrix whose element (row, k) is data[row * row_step + k * k_step].
template <class C>
struct Strided {
  const C* data;
  int64_t row_step, k_step;
};
/// A matrix with contiguous columns.
template <class C>
struct Rows {
  C* data;
  int64_t stride;
};

/// Rows x (Vectors * lanes) elements of out (+)= a b over k in [begin, end), all sums in registers.
template <int Rows_, int Vectors, class C>
inline void product_block(Rows<C> out, Strided<C> a, Rows<const C> b, Block k_range, bool add) {
  Vector<C> sum[Rows_][Vectors];
  for (int r = 0; r < Rows_; ++r) {
    for (int v = 0; v < Vectors; ++v) {
      sum[r][v] = add ? load_vector(out.data + r * out.stride + v * kLanes<C>) : Vector<C>{};
    }
  }
  for (int64_t k = k_range.begin; k < k_range.end; ++k) {
    Vector<C> right[Vectors];
    for (int v = 0; v < Vectors; ++v) right[v] = load_vector(b.data + k * b.stride + v * kLanes<C>);
    for (int r = 0; r < Rows_; ++r) {
      const C left = a.data[r * a.row_step + k * a.k_step];
      for (int v = 0; v < Vectors; ++v) sum[r][v] += left * right[v];
    }
  }
  for (int r = 0; r < Rows_; ++r) {
    for (int v = 0; v < Vectors; ++v) {
      store_vector(out.data + r * out.stride + v * kLanes<C>, sum[r][v]);
    }
  }
}

/// The rows below `rows` of one column panel, six at a time; k_range(first, last) bounds the terms of a
/// block.
template <int Vectors, class C, class Range>
inline void product_panel(Rows<C> out, Strided<C> a, Rows<const C> b, int64_t rows, const Range& k_range,
                          bool add) {
  for (int64_t row = 0; row < rows; row += 6) {
    const int64_t count = std::min<int64_t>(6, rows - row);
    const Block range = k_range(row, row + count - 1);
    const Rows<C> o{out.data + row * out.stride, out.stride};
    const Strided<C> left{a.data + row * a.row_step, a.row_step, a.k_step};
    switch (count) {
      case 1:
        product_block<1, Vectors>(o, left, b, range, add);
        break;
      case 2:
        product_block<2, Vectors>(o, left, b, range, add);
        break;
      case 3:
        product_block<3, Vectors>(o, left, b, range, add);
        break;
      case 4:
        product_block<4, Vectors>(o, left, b, range, add);
        break;
      case 5:
        product_block<5, Vectors>(o, left, b, range, add);
        break;
      default:
        product_block<6, Vectors>(o, left, b, range, add);
        break;
    }
  }
}

/// out (+)= a b for [rows, columns]; columns a multiple of the lanes.
template <class C, class Range>
inline void product(Rows<C> out, Strided<C> a, Rows<const C> b, int64_t rows, int64_t columns,
                    const Range& k_range, bool add) {
  int64_t column = 0;
  for (; column + 2 * kLanes<C> <= columns; column += 2 * kLanes<C>) {
    product_panel<2>(Rows<C>{out.data + column, out.stride}, a, Rows<const C>{b.data + column, b.stride},
                     rows, k_range, add);
  }
  if (column < columns) {
    product_panel<1>(Rows<C>{out.data + column, out.stride}, a, Rows<const C>{b.data + column, b.stride},
                     rows, k_range, add);
  }
}

/// One sequence and one head of keys, and which keys its rows see.
struct Span {
  int64_t query_begin, key_begin;  ///< rows of the tensors
  int64_t queries, keys;
  int64_t rows;               ///< queries * group
  int64_t first_head, group;  ///< the query heads that share the keys
  int64_t window;             ///< never 0

  int64_t token(int64_t row) const { return query_begin + row / group; }
  int64_t head(int64_t row) const { return first_head + row % group; }
  /// The keys [seen_begin, seen_end) of the sequence that a row sees.
  int64_t seen_end(int64_t row) const { return row / group + 1 + keys - queries; }
  int64_t seen_begin(int64_t row) const { return std::max<int64_t>(0, seen_end(row) - window); }
  /// The first row that sees a key, were there no window.
  int64_t first_row(int64_t key) const { return std::max<int64_t>(0, (key - keys + queries) * group); }
  int64_t row_tiles() const { return (rows + kRowTile - 1) / kRowTile; }
  int64_t key_tiles() const { return (keys + kKeyTile - 1) / kKeyTile; }
};

inline Span span_of(const AttentionProblem& problem, int64_t sequence, int64_t kv_head) {
  const int32_t* bounds = problem.bounds + 4 * sequence;
  const int64_t group = problem.heads / problem.kv_heads;
  return {.query_begin = bounds[0],
          .key_begin = bounds[2],
          .queries = bounds[1] - bounds[0],
          .keys = bounds[3] - bounds[2],
          .rows = (bounds[1] - bounds[0]) * group,
          .first_head = kv_head * group,
          .group = group,
          .window = problem.window > 0 ? problem.window : problem.max_keys};
}

/// Rows [first, first + count) of a span, padded to whole vectors by rows that see nothing.
struct RowTile {
  Span span;
  int64_t first, count;

  int64_t last() const { return first + count - 1; }
  template <class C>
  int64_t padded() const {
    return (count + kLanes<C> - 1) / kLanes<C> * kLanes<C>;
  }
  /// The tiles of keys that some row sees.
  Block key_tiles() const {
    return {span.seen_begin(first) / kKeyTile, (span.seen_end(last()) + kKeyTile - 1) / kKeyTile};
  }
};

inline RowTile row_tile_of(const Span& span, int64_t tile) {
  return {span, tile * kRowTile, std::min(kRowTile, span.rows - tile * kRowTile)};
}

/// Where a row tile and a tile of keys meet; every index counts from the tiles' begins.
struct TilePair {
  RowTile rows;
  int64_t first_key, keys;

  /// How many keys the rows up to `row` (of the tile or its padding) see.
  int64_t seen_end(int64_t row) const {
    const int64_t end = rows.span.seen_end(rows.first + std::min(row, rows.count - 1)) - first_key;
    return std::clamp<int64_t>(end, 0, keys);
  }
  /// The first row that sees a key.
  int64_t first_row(int64_t key) const {
    return std::clamp<int64_t>(rows.span.first_row(first_key + key) - rows.first, 0, rows.count);
  }
};

inline TilePair pair_of(const RowTile& rows, int64_t key_tile) {
  const int64_t first = key_tile * kKeyTile;
  return {rows, first, std::min(kKeyTile, rows.span.keys - first)};
}

/// The keys [begin[r], end[r]) that each row of a pair sees, as numbers that compare lane by lane with
/// scores.
template <class C>
struct Visible {
  alignas(64) C begin[kRowTile];
  alignas(64) C end[kRowTile];

  explicit Visible(const TilePair& pair) {
    const Span& span = pair.rows.span;
    // The heads of a query see the same keys; counting them is cheaper than dividing for each row.
    int64_t head = pair.rows.first % span.group, seen = span.seen_end(pair.rows.first) - pair.first_key;
    for (int64_t row = 0; row < pair.rows.count; ++row) {
      begin[row] = static_cast<C>(seen - span.window);
      end[row] = static_cast<C>(seen);
      const bool next = ++head == span.group;
      head = next ? 0 : head;
      seen += next;
    }
    for (int64_t row = pair.rows.count; row < pair.rows.template padded<C>(); ++row)
      begin[row] = end[row] = 0;
  }
  C at(int64_t key, int64_t row, C value, C otherwise) const {
    const C index = static_cast<C>(key);
    return (index >= begin[row]) & (index < end[row]) ? value : otherwise;
  }
};

/// Calls body(row, lanes, keys) for blocks of rows one or two vectors wide, with the keys that they can see;
/// lanes is a constant of its type, so that loops over it vanish.
template <class C, class Body>
inline void for_row_blocks(const TilePair& pair, const Body& body) {
  const int64_t padded = pair.rows.template padded<C>();
  int64_t row = 0;
  for (; row + 2 * kLanes<C> <= padded; row += 2 * kLanes<C>) {
    body(row, std::integral_constant<int64_t, 2 * kLanes<C>>(), pair.seen_end(row + 2 * kLanes<C> - 1));
  }
  if (row < padded) {
    body(row, std::integral_constant<int64_t, kLanes<C>>(), pair.seen_end(row + kLanes<C> - 1));
  }
}

/// tile[key][row] = left[key] . right[:, row] for the pairs that may be visible, 0 for the others.
template <class C>
inline void transposed_scores(Rows<C> tile, Rows<const C> left, Rows<const C> right, const TilePair& pair,
                              int64_t head_dim) {
  const auto all = [&](int64_t, int64_t) { return Block{0, head_dim}; };
  const int64_t end = pair.seen_end(pair.rows.count - 1);
  for_row_blocks<C>(pair, [&](int64_t row, auto lanes, int64_t keys) {
    product_panel<lanes / kLanes<C>>(Rows<C>{tile.data + row, tile.stride},
                                     Strided<C>{left.data, left.stride, 1},
                                     Rows<const C>{right.data + row, right.stride}, keys, all, false);
    for (int64_t key = keys; key < end; ++key) {
      std::fill_n(tile.data + key * tile.stride + row, lanes, C{0});
    }
  });
}

/// Rows of keys or values as C: in place where they are stored so, else converted into `space`.
template <class T>
inline Rows<const compute_t<T>> as_compute(const T* source, int64_t stride, int64_t rows, int64_t head_dim,
                                           compute_t<T>* space) {
  if constexpr (std::is_same_v<T, compute_t<T>>) {
    return {source, stride};
  } else {
    for (int64_t row = 0; row < rows; ++row) {
#pragma omp simd
      for (int64_t c = 0; c < head_dim; ++c) space[row * head_dim + c] = load(source[row * stride + c]);
    }
    return {space, head_dim};
  }
}

/// packed[c][row] = factor * source(row)[c], with zeros in the rows of padding.
template <class C, class Source>
inline void pack_transposed(Rows<C> packed, const RowTile& rows, int64_t head_dim, C factor,
                            const Source& source) {
  using T = std::remove_cvref_t<decltype(*source(0))>;
  static constexpr T zeros[kMaxHeadDim] = {};
  for (int64_t first = 0; first < rows.count; first += kLanes<C>) {
    const T* sources[kLanes<C>];
    for (int64_t r = 0; r < kLanes<C>; ++r) {
      sources[r] = first + r < rows.count ? source(rows.first + first + r) : zeros;
    }
    for (int64_t c = 0; c < head_dim; c += kLanes<C>) {
      Vector<C> square[kLanes<C>];
      for (int64_t r = 0; r < kLanes<C>; ++r) square[r] = factor * load_vector(sources[r] + c);
      transpose_square(square);
      for (int64_t lane = 0; lane < kLanes<C>; ++lane) {
        store_vector(packed.data + (c + lane) * packed.stride + first, square[lane]);
      }
    }
  }
}

/// The parts of one thread's scratch, handed out one after another in whole cache lines. Counting with a null
/// base gives the size.
class Carver {
 public:
  explicit Carver(std::byte* base) : base_(reinterpret_cast<uintptr_t>(base)) {}
  template <class C>
  C* take(int64_t count) {
    C* part = reinterpret_cast<C*>(base_ + static_cast<uintptr_t>(bytes_));
    bytes_ += (count * static_cast<int64_t>(sizeof(C)) + 63) / 64 * 64;
    return part;
  }
  int64_t bytes() const { return bytes_; }

 private:
  uintptr_t base_;
  int64_t bytes_ = 0;
};

/// Numbers the items of all sequences: prefix[s] is the first item of sequence s, items(s) of them.
template <class Items>
inline int64_t number_items(int64_t* prefix, int64_t sequences, const Items& items) {
  prefix[0] = 0;
  for (int64_t s = 0; s < sequences; ++s) prefix[s + 1] = prefix[s] + items(s);
  return prefix[sequences];
}
/// The sequence that an item belongs to.
inline int64_t sequence_of(const int64_t* prefix, int64_t sequences, int64_t item) {
  return std::upper_bound(prefix, prefix + sequences + 1, item) - prefix - 1;
}

}  // namespace prospect::kernels::cpu
