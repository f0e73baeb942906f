#include <cmath>
#include <limits>

#include "kernels/attention/attention_tile.h"
#include "kernels/common/fast_math.h"
#include "kernels/common/parallel.h"

namespace prospect::kernels::cpu {

namespace {

/// Rows up to this many take their scores one dot product at a time: transposing would cost more than it
/// saves, and most lanes would idle.
constexpr int64_t kFewRows = 4;

/// One thread's scratch.
template <class C>
struct ForwardSpace {
  C* queries;  ///< [head_dim][padded rows] scaled, or [rows][head_dim] for few rows
  C* scores;   ///< [keys][padded rows], then probabilities
  C* output;   ///< [rows][head_dim], not yet divided by sum
  C* maximum;  ///< [rows]
  C* sum;      ///< [rows] of exp(score - maximum)
  C* keys;     ///< [keys][head_dim], where they are not stored as C
  C* values;   ///< [keys][head_dim], likewise

  ForwardSpace(Carver& carver, int64_t head_dim)
      : queries(carver.take<C>(kRowTile * head_dim)),
        scores(carver.take<C>(kKeyTile * kRowTile)),
        output(carver.take<C>(kRowTile * head_dim)),
        maximum(carver.take<C>(kRowTile)),
        sum(carver.take<C>(kRowTile)),
        keys(carver.take<C>(kKeyTile * head_dim)),
        values(carver.take<C>(kKeyTile * head_dim)) {}
};

template <class C>
int64_t bytes_per_thread(int64_t head_dim) {
  Carver carver(nullptr);
  ForwardSpace<C>(carver, head_dim);
  return carver.bytes();
}

template <class T>
const T* query_row(const AttentionForward<T>& args, const Span& span, int64_t row) {
  return args.q + span.token(row) * args.q_stride + span.head(row) * args.problem.head_dim;
}

template <class T>
void pack_queries(const AttentionForward<T>& args, const RowTile& rows, ForwardSpace<compute_t<T>>& space) {
  using C = compute_t<T>;
  const int64_t head_dim = args.problem.head_dim;
  const C scale = static_cast<C>(args.problem.scale);
  const auto source = [&](int64_t row) { return query_row(args, rows.span, row); };
  if (rows.count > kFewRows) {
    pack_transposed(Rows<C>{space.queries, rows.padded<C>()}, rows, head_dim, scale, source);
    return;
  }
  for (int64_t row = 0; row < rows.count; ++row) {
    const T* q = source(rows.first + row);
    for (int64_t c = 0; c < head_dim; ++c) space.queries[row * head_dim + c] = scale * load(q[c]);
  }
}

/// Asks for a row that is read soon: the processor does not foresee short rows far apart.
template <class C>
void prefetch(const C* row, int64_t head_dim) {
  for (int64_t c = 0; c < head_dim; c += 2 * kLanes<C>) __builtin_prefetch(row + c);
}

/// A vector of keys at a time: one vector of partial sums a key, transposed and added once they are complete.
template <class C>
void scores_of_few_rows(ForwardSpace<C>& space, Rows<const C> keys, Rows<const C> values,
                        const TilePair& pair, int64_t head_dim) {
  const int64_t padded = pair.rows.template padded<C>(), end = pair.seen_end(pair.rows.count - 1);
  std::fill_n(space.scores, end * padded, C{0});
  for (int64_t first = 0; first < end; first += kLanes<C>) {
    const C* k[kLanes<C>];
    for (int64_t i = 0; i < kLanes<C>; ++i) {
      k[i] = keys.data + std::min(first + i, end - 1) * keys.stride;
      prefetch(keys.data + std::min(first + i + 2 * kLanes<C>, end - 1) * keys.stride, head_dim);
      prefetch(values.data + std::min(first + i, end - 1) * values.stride, head_dim);
    }
    for (int64_t row = 0; row < pair.rows.count; ++row) {
      const C* q = space.queries + row * head_dim;
      Vector<C> sums[kLanes<C>] = {};
      for (int64_t c = 0; c < head_dim; c += kLanes<C>) {
        const Vector<C> query = load_vector(q + c);
        for (int64_t i = 0; i < kLanes<C>; ++i) sums[i] += query * load_vector(k[i] + c);
      }
      transpose_square(sums);
      for (int64_t i = 1; i < kLanes<C>; ++i) sums[0] += sums[i];
      const int64_t count = std::min(kLanes<C>, end - first);
      for (int64_t i = 0; i < count; ++i) space.scores[(first + i) * padded + row] = sums[0][i];
    }
  }
}

/// The online softmax of one block of rows: raises each row's maximum to cover this tile, replaces its scores
/// by exp(score - maximum), and scales what earlier tiles left in sum and output.
template <int64_t lanes, class C>
void update_softmax(ForwardSpace<C>& space, const Visible<C>& visible, int64_t stride, int64_t first_row,
                    int64_t keys, int64_t head_dim) {
  constexpr C lowest = std::numeric_limits<C>::lowest();
  C maximum[lanes], sum[lanes] = {};
  std::copy_n(space.maximum + first_row, lanes, maximum);
  for (int64_t key = 0; key < keys; ++key) {
    const C* score = space.scores + key * stride + first_row;
#pragma omp simd
    for (int64_t r = 0; r < lanes; ++r) {
      maximum[r] = std::max(maximum[r], visible.at(key, first_row + r, score[r], lowest));
    }
  }
  for (int64_t key = 0; key < keys; ++key) {
    C* score = space.scores + key * stride + first_row;
#pragma omp simd
    for (int64_t r = 0; r < lanes; ++r) {
      score[r] = visible.at(key, first_row + r, fast_exp(score[r] - maximum[r]), C{0});
      sum[r] += score[r];
    }
  }
  for (int64_t r = 0; r < lanes; ++r) {
    const int64_t row = first_row + r;
    const C before = space.maximum[row];
    const C factor = before == lowest ? C{0} : fast_exp(before - maximum[r]);
    space.sum[row] = space.sum[row] * factor + sum[r];
    space.maximum[row] = maximum[r];
    if (before == maximum[r] || before == lowest) continue;
    C* output = space.output + row * head_dim;
#pragma omp simd
    for (int64_t c = 0; c < head_dim; ++c) output[c] *= factor;
  }
}

template <class T>
void write_rows(const AttentionForward<T>& args, const RowTile& rows,
                const ForwardSpace<compute_t<T>>& space) {
  using C = compute_t<T>;
  const int64_t head_dim = args.problem.head_dim;
  for (int64_t r = 0; r < rows.count; ++r) {
    const int64_t token = rows.span.token(rows.first + r), head = rows.span.head(rows.first + r);
    T* o = args.o + token * args.o_stride + head * head_dim;
    const C* output = space.output + r * head_dim;
    const C factor = 1 / space.sum[r];
#pragma omp simd
    for (int64_t c = 0; c < head_dim; ++c) store(o[c], output[c] * factor);
    if (args.lse) args.lse[head * args.problem.tokens + token] = space.maximum[r] + std::log(space.sum[r]);
  }
}

template <class T>
void forward_tile(const AttentionForward<T>& args, const RowTile& rows, ForwardSpace<compute_t<T>> space) {
  using C = compute_t<T>;
  const int64_t head_dim = args.problem.head_dim, padded = rows.padded<C>();
  const int64_t kv_column = rows.span.first_head / rows.span.group * head_dim;
  pack_queries(args, rows, space);
  std::fill_n(space.maximum, padded, std::numeric_limits<C>::lowest());
  std::fill_n(space.sum, padded, C{0});
  const Block tiles = rows.key_tiles();
  for (int64_t tile = tiles.begin; tile < tiles.end; ++tile) {
    const TilePair pair = pair_of(rows, tile);
    const int64_t first = rows.span.key_begin + pair.first_key;
    const auto keys = as_compute(args.k + first * args.k_stride + kv_column, args.k_stride, pair.keys,
                                 head_dim, space.keys);
    const auto values = as_compute(args.v + first * args.v_stride + kv_column, args.v_stride, pair.keys,
                                   head_dim, space.values);
    if (rows.count > kFewRows) {
      transposed_scores(Rows<C>{space.scores, padded}, keys, Rows<const C>{space.queries, padded}, pair,
                        head_dim);
    } else {
      scores_of_few_rows(space, keys, values, pair, head_dim);
    }
    const Visible<C> visible(pair);
    for_row_blocks<C>(pair, [&](int64_t row, auto lanes, int64_t count) {
      update_softmax<lanes>(space, visible, padded, row, count, head_dim);
    });
    product(
        Rows<C>{space.output, head_dim}, Strided<C>{space.scores, 1, padded}, values, rows.count, head_dim,
        [&](int64_t, int64_t last) {
          return Block{0, pair.seen_end(last)};
        },
        tile > tiles.begin);
  }
  write_rows(args, rows, space);
}

}  // namespace

template <class T>
void attention_forward(const AttentionForward<T>& args) {
  using C = compute_t<T>;
  const AttentionProblem& problem = args.problem;
  Carver carver(args.scratch);
  int64_t* prefix = carver.take<int64_t>(problem.sequences + 1);
  const int64_t thread_bytes = bytes_per_thread<C>(problem.head_dim);
  std::byte* spaces = carver.take<std::byte>(thread_count() * thread_bytes);
  const int64_t items = number_items(prefix, problem.sequences, [&](int64_t s) {
    return span_of(problem, s, 0).row_tiles() * problem.kv_heads;
  });
  parallel_for_dynamic(items, [&](int64_t item) {
    const int64_t s = sequence_of(prefix, problem.sequences, item), index = item - prefix[s];
    const Span span = span_of(problem, s, index % problem.kv_heads);
    // The last rows see the most keys: they start first.
    const int64_t tile = span.row_tiles() - 1 - index / problem.kv_heads;
    Carver own(spaces + omp_get_thread_num() * thread_bytes);
    forward_tile(args, row_tile_of(span, tile), ForwardSpace<C>(own, problem.head_dim));
  });
}

template <class T>
int64_t attention_forward_scratch_bytes(const AttentionProblem& problem) {
  Carver carver(nullptr);
  carver.take<int64_t>(problem.sequences + 1);
  return carver.bytes() + thread_count() * bytes_per_thread<compute_t<T>>(problem.head_dim);
}

template void attention_forward(const AttentionForward<float>&);
template void attention_forward(const AttentionForward<bf16>&);
template void attention_forward(const AttentionForward<double>&);
template int64_t attention_forward_scratch_bytes<float>(const AttentionProblem&);
template int64_t attention_forward_scratch_bytes<bf16>(const AttentionProblem&);
template int64_t attention_forward_scratch_bytes<double>(const AttentionProblem&);

}  // namespace prospect::kernels::cpu
