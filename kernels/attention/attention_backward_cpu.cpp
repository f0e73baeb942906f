#include <cmath>

#include "kernels/attention/attention_tile.h"
#include "kernels/common/fast_math.h"
#include "kernels/common/parallel.h"

// Two schedules that give the same bits, since either adds the same tiles in the same order:
//   whole sequences  an item is a sequence and a head of keys; each pair of tiles is visited once.
//   split sequences  where those are too few for the threads: dk, dv by tiles of keys, then dq by tiles of
//                    rows; scores and their gradients are computed twice.
namespace prospect::kernels::cpu {

namespace {

/// One thread's scratch.
template <class C>
struct BackwardSpace {
  C *q, *d_o;                        ///< [rows][head_dim], q scaled
  C *q_transposed, *d_o_transposed;  ///< [head_dim][padded rows]
  C *p, *ds;                         ///< [keys][padded rows]
  C *lse, *dots;                     ///< [padded rows]; dots[r] = do[r] . o[r]
  C* dq;                             ///< [rows][head_dim]
  C *keys, *values;                  ///< [keys][head_dim], where they are not stored as C
  C *dk, *dv;                        ///< [all keys][head_dim]

  BackwardSpace(Carver& carver, const AttentionProblem& problem)
      : q(carver.take<C>(kRowTile * problem.head_dim)),
        d_o(carver.take<C>(kRowTile * problem.head_dim)),
        q_transposed(carver.take<C>(kRowTile * problem.head_dim)),
        d_o_transposed(carver.take<C>(kRowTile * problem.head_dim)),
        p(carver.take<C>(kKeyTile * kRowTile)),
        ds(carver.take<C>(kKeyTile * kRowTile)),
        lse(carver.take<C>(kRowTile)),
        dots(carver.take<C>(kRowTile)),
        dq(carver.take<C>(kRowTile * problem.head_dim)),
        keys(carver.take<C>(kKeyTile * problem.head_dim)),
        values(carver.take<C>(kKeyTile * problem.head_dim)),
        dk(carver.take<C>(problem.max_keys * problem.head_dim)),
        dv(carver.take<C>(problem.max_keys * problem.head_dim)) {}
};

template <class C>
int64_t bytes_per_thread(const AttentionProblem& problem) {
  Carver carver(nullptr);
  BackwardSpace<C>(carver, problem);
  return carver.bytes();
}

/// Everything a row tile needs, in C: q scaled, do, both also transposed, lse and dots.
template <class T>
void load_row_tile(const AttentionBackward<T>& args, const RowTile& rows,
                   BackwardSpace<compute_t<T>>& space) {
  using C = compute_t<T>;
  const int64_t head_dim = args.problem.head_dim, padded = rows.padded<C>();
  const C scale = static_cast<C>(args.problem.scale);
  for (int64_t r = 0; r < rows.count; ++r) {
    const int64_t token = rows.span.token(rows.first + r), head = rows.span.head(rows.first + r);
    const T* q = args.q + token * args.q_stride + head * head_dim;
    const T* d_o = args.d_o + token * args.o_stride + head * head_dim;
    const T* o = args.o + token * args.o_stride + head * head_dim;
    Vector<C> dots = {};
    for (int64_t c = 0; c < head_dim; c += kLanes<C>) {
      const Vector<C> gradient = load_vector(d_o + c);
      store_vector(space.q + r * head_dim + c, scale * load_vector(q + c));
      store_vector(space.d_o + r * head_dim + c, gradient);
      dots += gradient * load_vector(o + c);
    }
    space.dots[r] = 0;
    for (int64_t lane = 0; lane < kLanes<C>; ++lane) space.dots[r] += dots[lane];
    space.lse[r] = args.lse[head * args.problem.tokens + token];
  }
  std::fill(space.dots + rows.count, space.dots + padded, C{0});
  std::fill(space.lse + rows.count, space.lse + padded, C{0});
  const auto packed = [&](const C* source) {
    return [=, first = rows.first](int64_t row) { return source + (row - first) * head_dim; };
  };
  pack_transposed(Rows<C>{space.q_transposed, padded}, rows, head_dim, C{1}, packed(space.q));
  pack_transposed(Rows<C>{space.d_o_transposed, padded}, rows, head_dim, C{1}, packed(space.d_o));
}

/// p = exp(score - lse) and ds = p (dp - dots) of one pair, zero where a row does not see a key.
template <class T>
void score_gradients(const AttentionBackward<T>& args, const TilePair& pair, Rows<const compute_t<T>> keys,
                     Rows<const compute_t<T>> values, BackwardSpace<compute_t<T>>& space) {
  using C = compute_t<T>;
  const int64_t head_dim = args.problem.head_dim, padded = pair.rows.template padded<C>();
  transposed_scores(Rows<C>{space.p, padded}, keys, Rows<const C>{space.q_transposed, padded}, pair,
                    head_dim);
  transposed_scores(Rows<C>{space.ds, padded}, values, Rows<const C>{space.d_o_transposed, padded}, pair,
                    head_dim);
  const Visible<C> visible(pair);
  for_row_blocks<C>(pair, [&](int64_t first_row, auto lanes, int64_t count) {
    for (int64_t key = 0; key < count; ++key) {
      C* p = space.p + key * padded;
      C* ds = space.ds + key * padded;
#pragma omp simd
      for (int64_t r = 0; r < lanes; ++r) {
        const int64_t row = first_row + r;
        p[row] = visible.at(key, row, fast_exp(p[row] - space.lse[row]), C{0});
        ds[row] = p[row] * (ds[row] - space.dots[row]);
      }
    }
  });
}

/// Which gradients of a pair are wanted, and where dk and dv of its first key stand.
struct PairTargets {
  bool queries, keys;
  int64_t key_offset;  ///< row of space.dk and space.dv
  bool add_queries;    ///< to what space.dq holds
};

/// Adds one pair of tiles to dk and dv, and puts or adds it to dq.
template <class T>
void backward_pair(const AttentionBackward<T>& args, const TilePair& pair, BackwardSpace<compute_t<T>>& space,
                   const PairTargets& wanted) {
  using C = compute_t<T>;
  const int64_t head_dim = args.problem.head_dim, padded = pair.rows.template padded<C>();
  const Span& span = pair.rows.span;
  const int64_t row = span.key_begin + pair.first_key, column = span.first_head / span.group * head_dim;
  const auto keys =
      as_compute(args.k + row * args.k_stride + column, args.k_stride, pair.keys, head_dim, space.keys);
  const auto values =
      as_compute(args.v + row * args.v_stride + column, args.v_stride, pair.keys, head_dim, space.values);
  score_gradients(args, pair, keys, values, space);
  if (wanted.keys) {
    const int64_t seen = pair.seen_end(pair.rows.count - 1);
    const auto rows = [&](int64_t key, int64_t) { return Block{pair.first_row(key), pair.rows.count}; };
    product(Rows<C>{space.dv + wanted.key_offset * head_dim, head_dim}, Strided<C>{space.p, padded, 1},
            Rows<const C>{space.d_o, head_dim}, seen, head_dim, rows, true);
    product(Rows<C>{space.dk + wanted.key_offset * head_dim, head_dim}, Strided<C>{space.ds, padded, 1},
            Rows<const C>{space.q, head_dim}, seen, head_dim, rows, true);
  }
  if (wanted.queries) {
    product(
        Rows<C>{space.dq, head_dim}, Strided<C>{space.ds, 1, padded}, keys, pair.rows.count, head_dim,
        [&](int64_t, int64_t last) {
          return Block{0, pair.seen_end(last)};
        },
        wanted.add_queries);
  }
}

template <class T>
void put_row(T* target, const compute_t<T>* values, compute_t<T> factor, int64_t head_dim, GradMode mode) {
  if (mode == GradMode::Overwrite) {
#pragma omp simd
    for (int64_t c = 0; c < head_dim; ++c) store(target[c], factor * values[c]);
  } else {
#pragma omp simd
    for (int64_t c = 0; c < head_dim; ++c) store(target[c], load(target[c]) + factor * values[c]);
  }
}

template <class T>
void write_queries(const AttentionBackward<T>& args, const RowTile& rows,
                   const BackwardSpace<compute_t<T>>& space) {
  using C = compute_t<T>;
  const int64_t head_dim = args.problem.head_dim;
  const C scale = static_cast<C>(args.problem.scale);
  for (int64_t r = 0; r < rows.count; ++r) {
    const int64_t token = rows.span.token(rows.first + r), head = rows.span.head(rows.first + r);
    T* dq = args.dq + token * args.q_stride + head * head_dim;
    put_row(dq, space.dq + r * head_dim, scale, head_dim, args.mode);
  }
}

/// Keys [begin, end) of a span, from the first rows of space.dk and space.dv.
template <class T>
void write_keys(const AttentionBackward<T>& args, const Span& span, Block keys,
                const BackwardSpace<compute_t<T>>& space) {
  const int64_t head_dim = args.problem.head_dim, column = span.first_head / span.group * head_dim;
  for (int64_t key = keys.begin; key < keys.end; ++key) {
    T* dk = args.dk + (span.key_begin + key) * args.k_stride + column;
    T* dv = args.dv + (span.key_begin + key) * args.v_stride + column;
    const int64_t from = (key - keys.begin) * head_dim;
    put_row(dk, space.dk + from, compute_t<T>{1}, head_dim, args.mode);
    put_row(dv, space.dv + from, compute_t<T>{1}, head_dim, args.mode);
  }
}

template <class C>
void clear_keys(BackwardSpace<C>& space, int64_t keys, int64_t head_dim) {
  std::fill_n(space.dk, keys * head_dim, C{0});
  std::fill_n(space.dv, keys * head_dim, C{0});
}

/// dq of one row tile; with `keys`, its share of dk and dv of the whole sequence too.
template <class T>
void backward_row_tile(const AttentionBackward<T>& args, const RowTile& rows,
                       BackwardSpace<compute_t<T>>& space, bool keys) {
  load_row_tile(args, rows, space);
  const Block tiles = rows.key_tiles();
  for (int64_t tile = tiles.begin; tile < tiles.end; ++tile) {
    backward_pair(
        args, pair_of(rows, tile), space,
        {.queries = true, .keys = keys, .key_offset = tile * kKeyTile, .add_queries = tile > tiles.begin});
  }
  write_queries(args, rows, space);
}

template <class T>
void backward_sequence(const AttentionBackward<T>& args, const Span& span,
                       BackwardSpace<compute_t<T>> space) {
  clear_keys(space, span.keys, args.problem.head_dim);
  for (int64_t tile = 0; tile < span.row_tiles(); ++tile) {
    backward_row_tile(args, row_tile_of(span, tile), space, true);
  }
  write_keys(args, span, {0, span.keys}, space);
}

/// dk and dv of one tile of keys.
template <class T>
void backward_key_tile(const AttentionBackward<T>& args, const Span& span, int64_t key_tile,
                       BackwardSpace<compute_t<T>> space) {
  const int64_t first = key_tile * kKeyTile, end = std::min(span.keys, first + kKeyTile);
  clear_keys(space, end - first, args.problem.head_dim);
  for (int64_t tile = span.first_row(first) / kRowTile; tile < span.row_tiles(); ++tile) {
    const RowTile rows = row_tile_of(span, tile);
    if (rows.key_tiles().begin > key_tile) break;
    load_row_tile(args, rows, space);
    backward_pair(args, pair_of(rows, key_tile), space,
                  {.queries = false, .keys = true, .key_offset = 0, .add_queries = false});
  }
  write_keys(args, span, {first, end}, space);
}

/// Runs body(span, index, space) for `items(span)` items of every sequence and head of keys.
template <class T, class Items, class Body>
void for_items(const AttentionBackward<T>& args, const Items& items, const Body& body) {
  using C = compute_t<T>;
  const AttentionProblem& problem = args.problem;
  Carver carver(args.scratch);
  int64_t* prefix = carver.take<int64_t>(problem.sequences + 1);
  const int64_t thread_bytes = bytes_per_thread<C>(problem);
  std::byte* spaces = carver.take<std::byte>(thread_count() * thread_bytes);
  const int64_t count = number_items(
      prefix, problem.sequences, [&](int64_t s) { return items(span_of(problem, s, 0)) * problem.kv_heads; });
  parallel_for_dynamic(count, [&](int64_t item) {
    const int64_t s = sequence_of(prefix, problem.sequences, item), index = item - prefix[s];
    Carver own(spaces + omp_get_thread_num() * thread_bytes);
    body(span_of(problem, s, index % problem.kv_heads), index / problem.kv_heads,
         BackwardSpace<C>(own, problem));
  });
}

}  // namespace

template <class T>
void attention_backward(const AttentionBackward<T>& args) {
  using Space = BackwardSpace<compute_t<T>>;
  if (args.mode == GradMode::Ignore) return;
  // With four items a thread the longest cannot keep the others waiting for much more than its own time.
  if (args.problem.sequences * args.problem.kv_heads >= 4 * thread_count() || thread_count() == 1) {
    for_items(
        args, [](const Span&) { return int64_t{1}; },
        [&](const Span& span, int64_t, Space space) { backward_sequence(args, span, space); });
    return;
  }
  for_items(
      args, [](const Span& span) { return span.key_tiles(); },
      [&](const Span& span, int64_t tile, Space space) { backward_key_tile(args, span, tile, space); });
  for_items(
      args, [](const Span& span) { return span.row_tiles(); },
      [&](const Span& span, int64_t tile, Space space) {
        backward_row_tile(args, row_tile_of(span, span.row_tiles() - 1 - tile), space, false);
      });
}

template <class T>
int64_t attention_backward_scratch_bytes(const AttentionProblem& problem) {
  Carver carver(nullptr);
  carver.take<int64_t>(problem.sequences + 1);
  return carver.bytes() + thread_count() * bytes_per_thread<compute_t<T>>(problem);
}

template void attention_backward(const AttentionBackward<float>&);
template void attention_backward(const AttentionBackward<bf16>&);
template void attention_backward(const AttentionBackward<double>&);
template int64_t attention_backward_scratch_bytes<float>(const AttentionProblem&);
template int64_t attention_backward_scratch_bytes<bf16>(const AttentionProblem&);
template int64_t attention_backward_scratch_bytes<double>(const AttentionProblem&);

}  // namespace prospect::kernels::cpu
