#include "kernels/attention/attention.h"

#include <algorithm>
#include <cmath>

#include "engine/ops.h"
#include "engine/ops/require.h"

namespace prospect {

namespace {

/// Whether some row belongs to two of the ranges; `covered` counts their rows.
bool overlap(std::vector<std::pair<int32_t, int32_t>> ranges, int64_t& covered) {
  std::erase_if(ranges, [](const auto& range) { return range.first == range.second; });
  std::ranges::sort(ranges);
  covered = 0;
  for (const auto& [begin, end] : ranges) covered += end - begin;
  return std::ranges::adjacent_find(
             ranges, [](const auto& a, const auto& b) { return a.second > b.first; }) != ranges.end();
}

/// The sequences of one call, known to be sound.
struct CheckedBounds {
  int64_t max_keys = 1;
  bool all_queries = false;  ///< every row is some sequence's query
  bool all_keys = false;     ///< every row is some sequence's key
  bool shared_keys = false;  ///< some row is a key of two sequences
};

CheckedBounds check_bounds(const Tensor& bounds, int64_t tokens, int64_t key_rows) {
  CHECK(bounds.defined() && bounds.shape().size() == 2 && bounds.size(1) == 4 && bounds.dtype() == DType::I32,
        "attention: bounds must be [S, 4] i32, got {} {}",
        bounds.defined() ? to_string(bounds.shape()) : "nothing", dtype_name(bounds.dtype()));
  CheckedBounds checked;
  std::vector<std::pair<int32_t, int32_t>> queries, keys;
  for (int64_t s = 0; s < bounds.size(0); ++s) {
    const int32_t* b = bounds.data<int32_t>() + 4 * s;
    CHECK(0 <= b[0] && b[0] <= b[1] && b[1] <= tokens && 0 <= b[2] && b[2] <= b[3] && b[3] <= key_rows,
          "attention: bounds of sequence {} are queries [{}, {}) of {} and keys [{}, {}) of {}", s, b[0],
          b[1], tokens, b[2], b[3], key_rows);
    CHECK(b[3] - b[2] >= b[1] - b[0], "attention: sequence {} has {} queries but only {} keys", s,
          b[1] - b[0], b[3] - b[2]);
    checked.max_keys = std::max<int64_t>(checked.max_keys, b[3] - b[2]);
    queries.emplace_back(b[0], b[1]);
    keys.emplace_back(b[2], b[3]);
  }
  int64_t covered = 0;
  CHECK(!overlap(std::move(queries), covered), "attention: a row is a query of two sequences");
  checked.all_queries = covered == tokens;
  checked.shared_keys = overlap(std::move(keys), covered);
  checked.all_keys = covered == key_rows && !checked.shared_keys;
  return checked;
}

kernels::AttentionProblem problem_of(const Tensor& qkv, int64_t key_rows, const Tensor& bounds,
                                     const CheckedBounds& checked, const AttentionOptions& options) {
  const HeadLayout& layout = options.layout;
  CHECK(layout.head_dim > 0 && layout.head_dim % 8 == 0 && layout.head_dim <= 256,
        "attention: head_dim must be a multiple of 8 up to 256, got {}", layout.head_dim);
  CHECK(layout.kv_heads > 0 && layout.heads > 0 && layout.heads % layout.kv_heads == 0,
        "attention: heads must be a multiple of kv_heads, got {} and {}", layout.heads, layout.kv_heads);
  CHECK(options.window >= 0, "attention: window must not be negative, got {}", options.window);
  CHECK(qkv.shape().size() == 2 && qkv.size(1) == layout.columns(), "attention: qkv must be [T, {}], got {}",
        layout.columns(), to_string(qkv.shape()));
  return {.bounds = bounds.data<int32_t>(),
          .sequences = bounds.size(0),
          .tokens = qkv.size(0),
          .key_rows = key_rows,
          .max_keys = checked.max_keys,
          .heads = layout.heads,
          .kv_heads = layout.kv_heads,
          .head_dim = layout.head_dim,
          .scale = options.scale != 0 ? options.scale : 1 / std::sqrt(static_cast<double>(layout.head_dim)),
          .window = options.window};
}

/// Keys or values of all rows, and their stride.
template <class T>
struct Columns {
  T* data;
  int64_t stride;
};

template <class T>
void forward(const Tensor& y, compute_t<T>* lse, const Tensor& qkv, Columns<T> keys, Columns<T> values,
             const kernels::AttentionProblem& problem) {
  const auto scratch = qkv.device().allocate(kernels::cpu::attention_forward_scratch_bytes<T>(problem));
  kernels::cpu::attention_forward<T>({.o = y.data<T>(),
                                      .lse = lse,
                                      .scratch = scratch.get(),
                                      .q = qkv.data<T>(),
                                      .k = keys.data,
                                      .v = values.data,
                                      .o_stride = y.size(1),
                                      .q_stride = qkv.size(1),
                                      .k_stride = keys.stride,
                                      .v_stride = values.stride,
                                      .problem = problem});
}

template <class T>
void backward(const Tensor& qkv, const Tensor& y, const Tensor& lse, const Tensor& dy, GradTarget target,
              bool covered, const kernels::AttentionProblem& problem) {
  if (target.mode == GradMode::Overwrite && !covered) {
    target.buffer.fill_zero();
    target.mode = GradMode::Accumulate;
  }
  const int64_t width = qkv.size(1), key_column = problem.heads * problem.head_dim;
  const int64_t value_column = key_column + problem.kv_heads * problem.head_dim;
  T* gradient = target_data<T>(target.buffer);
  const auto scratch = qkv.device().allocate(kernels::cpu::attention_backward_scratch_bytes<T>(problem));
  kernels::cpu::attention_backward<T>({.dq = gradient,
                                       .dk = gradient + key_column,
                                       .dv = gradient + value_column,
                                       .mode = target.mode,
                                       .scratch = scratch.get(),
                                       .d_o = dy.data<T>(),
                                       .o = y.data<T>(),
                                       .q = qkv.data<T>(),
                                       .k = qkv.data<T>() + key_column,
                                       .v = qkv.data<T>() + value_column,
                                       .lse = lse.data<compute_t<T>>(),
                                       .o_stride = y.size(1),
                                       .q_stride = width,
                                       .k_stride = width,
                                       .v_stride = width,
                                       .problem = problem});
}

}  // namespace

Variable attention(const Variable& qkv, const Tensor& bounds, const AttentionOptions& options) {
  const Tensor& rows = qkv.value();
  CHECK(rows.shape().size() == 2, "attention: qkv must be [T, columns], got {}", to_string(rows.shape()));
  const CheckedBounds checked = check_bounds(bounds, rows.size(0), rows.size(0));
  const kernels::AttentionProblem problem = problem_of(rows, rows.size(0), bounds, checked, options);
  const bool recorded = needs_grad({&qkv, 1});
  CHECK(!recorded || !checked.shared_keys,
        "attention: a row is a key of two sequences, which has no gradient");
  const Shape shape{problem.tokens, problem.heads * problem.head_dim};
  const Tensor y = checked.all_queries ? Tensor::empty(shape, rows.dtype(), rows.device())
                                       : Tensor::zeros(shape, rows.dtype(), rows.device());
  Tensor lse;
  if (recorded) {
    lse = Tensor::empty({problem.heads, problem.tokens}, compute_dtype(rows.dtype()), rows.device());
  }
  const bool covered = checked.all_queries && checked.all_keys;
  return with_dtype(rows.dtype(), [&]<class T>() {
    const Columns<T> keys{rows.data<T>() + problem.heads * problem.head_dim, rows.size(1)};
    const Columns<T> values{keys.data + problem.kv_heads * problem.head_dim, rows.size(1)};
    forward<T>(y, lse.data<compute_t<T>>(), rows, keys, values, problem);
    return record(y, {qkv},
                  [rows = rows, y, lse, bounds, covered, problem](const Tensor& dy,
                                                                  std::span<const GradTarget> targets) {
                    backward<T>(rows, y, lse, dy, targets[0], covered, problem);
                  });
  });
}

Tensor attention_cached(const Tensor& qkv, const Tensor& keys, const Tensor& values, const Tensor& bounds,
                        const AttentionOptions& options) {
  CHECK(qkv.shape().size() == 2, "attention: qkv must be [T, columns], got {}", to_string(qkv.shape()));
  CHECK(keys.defined() && keys.shape().size() == 2, "attention: keys must be [rows, columns], got {}",
        to_string(keys.shape()));
  const CheckedBounds checked = check_bounds(bounds, qkv.size(0), keys.size(0));
  const kernels::AttentionProblem problem = problem_of(qkv, keys.size(0), bounds, checked, options);
  const Shape cache{keys.size(0), problem.kv_heads * problem.head_dim};
  require("attention", "keys", keys, cache, qkv.dtype());
  require("attention", "values", values, cache, qkv.dtype());
  const Shape shape{problem.tokens, problem.heads * problem.head_dim};
  const Tensor y = checked.all_queries ? Tensor::empty(shape, qkv.dtype(), qkv.device())
                                       : Tensor::zeros(shape, qkv.dtype(), qkv.device());
  with_dtype(qkv.dtype(), [&]<class T>() {
    forward<T>(y, nullptr, qkv, {keys.data<T>(), cache[1]}, {values.data<T>(), cache[1]}, problem);
  });
  return y;
}

}  // namespace prospect
