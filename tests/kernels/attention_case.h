#pragma once

#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>

#include "kernels/attention/attention.h"
#include "tests/support/device_case.h"

/// Cases of attention on packed rows, what they must give, and by how much roundings may move it.
namespace prospect::test {

struct Lengths {
  int32_t queries, keys;
};

/// Sequences packed with rows between them that belong to none; q, k and v of a row lie side by side. The
/// queries of a sequence are the last of its rows. Whatever no sequence names is NaN.
struct AttentionCase {
  int64_t heads, kv_heads, head_dim;
  std::vector<Lengths> sequences;
  int64_t window = 0;
  double sharpness = 1;  ///< scales q: the more, the fewer keys a query heeds

  int64_t width() const { return (heads + 2 * kv_heads) * head_dim; }
  /// A row of o has room to spare.
  int64_t o_stride() const { return heads * head_dim + 8; }
  double scale() const { return 1 / std::sqrt(static_cast<double>(head_dim)); }

  std::vector<int32_t> bounds() const {
    std::vector<int32_t> rows;
    int32_t begin = 3;
    for (const auto& [queries, keys] : sequences) {
      rows.insert(rows.end(), {begin + keys - queries, begin + keys, begin, begin + keys});
      begin += keys + keys % 3;
    }
    return rows;
  }
  int64_t tokens() const {
    const auto rows = bounds();
    return rows.back() + 2;
  }

  /// Calls body(columns begin, end) for each row, of what sequences name of q, k and v there.
  template <class Body>
  void for_named(const Body& body) const {
    const auto rows = bounds();
    for (size_t s = 0; s < sequences.size(); ++s) {
      const int32_t* b = rows.data() + 4 * s;
      for (int64_t row = b[0]; row < b[1]; ++row) body(row * width(), row * width() + heads * head_dim);
      for (int64_t row = b[2]; row < b[3]; ++row) body(row * width() + heads * head_dim, (row + 1) * width());
    }
  }
  template <class T>
  std::vector<T> qkv(uint64_t seed) const {
    const auto values = random_values<T>(tokens() * width(), seed);
    std::vector<T> result(values.size(), T(NAN));
    for_named([&](int64_t begin, int64_t end) {
      std::copy(values.begin() + begin, values.begin() + end, result.begin() + begin);
    });
    for (size_t i = 0; i < result.size(); ++i) {
      const bool is_query = static_cast<int64_t>(i) % width() < heads * head_dim;
      if (is_query) result[i] = T(static_cast<float>(load(result[i]) * static_cast<float>(sharpness)));
    }
    return result;
  }
  /// The shape of o, NaN where no query is.
  template <class T>
  std::vector<T> outputs(uint64_t seed) const {
    const auto values = random_values<T>(tokens() * o_stride(), seed);
    std::vector<T> result(values.size(), T(NAN));
    const auto rows = bounds();
    for (size_t s = 0; s < sequences.size(); ++s) {
      for (int64_t row = rows[4 * s]; row < rows[4 * s + 1]; ++row) {
        std::copy_n(values.begin() + row * o_stride(), heads * head_dim, result.begin() + row * o_stride());
      }
    }
    return result;
  }

  /// With pointers into whichever memory.
  kernels::AttentionProblem problem(const int32_t* bounds_rows, int64_t count) const {
    const auto rows = bounds();
    int64_t max_keys = 0;
    for (const Lengths& length : sequences) max_keys = std::max<int64_t>(max_keys, length.keys);
    return {.bounds = bounds_rows,
            .sequences = count,
            .tokens = tokens(),
            .key_rows = tokens(),
            .max_keys = max_keys,
            .heads = heads,
            .kv_heads = kv_heads,
            .head_dim = head_dim,
            .scale = scale(),
            .window = window};
  }
  template <class T>
  kernels::AttentionForward<T> forward(T* o, compute_t<T>* lse, std::byte* scratch, const T* qkv,
                                       const kernels::AttentionProblem& problem) const {
    return {.o = o,
            .lse = lse,
            .scratch = scratch,
            .q = qkv,
            .k = qkv + heads * head_dim,
            .v = qkv + (heads + kv_heads) * head_dim,
            .o_stride = o_stride(),
            .q_stride = width(),
            .k_stride = width(),
            .v_stride = width(),
            .problem = problem};
  }
  template <class T>
  kernels::AttentionBackward<T> backward(T* dqkv, GradMode mode, std::byte* scratch, const T* d_o, const T* o,
                                         const T* qkv, const compute_t<T>* lse,
                                         const kernels::AttentionProblem& problem) const {
    const int64_t k = heads * head_dim, v = k + kv_heads * head_dim;
    return {.dq = dqkv,
            .dk = dqkv + k,
            .dv = dqkv + v,
            .mode = mode,
            .scratch = scratch,
            .d_o = d_o,
            .o = o,
            .q = qkv,
            .k = qkv + k,
            .v = qkv + v,
            .lse = lse,
            .o_stride = o_stride(),
            .q_stride = width(),
            .k_stride = width(),
            .v_stride = width(),
            .problem = problem};
  }
};

/// What the CPU gives in double; NaN where no sequence is.
class AttentionReference {
 public:
  std::vector<double> o, lse, dqkv;

  AttentionReference(const AttentionCase& shape, const std::vector<double>& qkv)
      : o(static_cast<size_t>(shape.tokens() * shape.o_stride()), NAN),
        lse(static_cast<size_t>(shape.tokens() * shape.heads), NAN),
        shape_(shape),
        qkv_(qkv),
        bounds_(shape.bounds()),
        problem_(shape.problem(bounds_.data(), std::ssize(shape.sequences))) {
    const auto scratch = scratch_of(kernels::cpu::attention_forward_scratch_bytes<double>(problem_));
    kernels::cpu::attention_forward(
        shape_.forward(o.data(), lse.data(), aligned(scratch), qkv_.data(), problem_));
  }

  /// Puts the gradient into dqkv, which holds what was there before. given_o: what forward gave, rounded.
  void backward(const std::vector<double>& d_o, const std::vector<double>& given_o, GradMode mode) {
    const auto scratch = scratch_of(kernels::cpu::attention_backward_scratch_bytes<double>(problem_));
    kernels::cpu::attention_backward(shape_.backward(dqkv.data(), mode, aligned(scratch), d_o.data(),
                                                     given_o.data(), qkv_.data(), lse.data(), problem_));
  }

 private:
  using Scratch = std::unique_ptr<std::byte[]>;
  static Scratch scratch_of(int64_t bytes) {
    return std::make_unique<std::byte[]>(static_cast<size_t>(bytes + 64));
  }
  static std::byte* aligned(const Scratch& scratch) {
    return scratch.get() + (64 - reinterpret_cast<uintptr_t>(scratch.get()) % 64) % 64;
  }

  const AttentionCase& shape_;
  const std::vector<double>& qkv_;
  std::vector<int32_t> bounds_;
  kernels::AttentionProblem problem_;
};

/// How far the roundings of T can move each element of the results, beside the rounding of the element
/// itself: the sizes of the terms that it sums, times what they err by.
///   p v, p do: by `term`, for p is rounded to T, and scores err in float
///   ds k, ds q, with ds = p (dp - D): by the same of ds, and by `sum` of what dp and D add up in float
template <class T>
class AttentionErrors {
 public:
  std::vector<double> o, dqkv;

  AttentionErrors(const AttentionCase& shape, const std::vector<double>& qkv, const std::vector<double>& d_o,
                  const std::vector<double>& given_o)
      : o(d_o.size()), dqkv(qkv.size()), shape_(shape), qkv_(qkv), d_o_(d_o), given_o_(given_o) {
    const auto rows = shape.bounds();
    for (size_t s = 0; s < shape.sequences.size(); ++s) {
      for (int64_t row = rows[4 * s]; row < rows[4 * s + 1]; ++row) {
        for (int64_t head = 0; head < shape.heads; ++head) add_row(row, head, rows[4 * s + 2]);
      }
    }
  }

  /// Scores add up to 256 products of size 1 by a walk of 16 roundings, of partial sums below 4. The
  /// logarithm of their exponentials' sum errs as they do.
  static constexpr double kScore = 64 * 0x1p-24;

 private:
  static constexpr double kTerm = sizeof(T) == 2 ? unit<T>() + kScore : 2 * kScore;
  static constexpr double kSum = 64 * 0x1p-24;

  void add_row(int64_t row, int64_t head, int64_t key_begin) {
    const int64_t dim = shape_.head_dim, kv_head = head / (shape_.heads / shape_.kv_heads);
    const auto q_at = row * shape_.width() + head * dim, o_at = row * shape_.o_stride() + head * dim;
    const auto k_at = [&](int64_t key) { return key * shape_.width() + (shape_.heads + kv_head) * dim; };
    const auto v_at = [&](int64_t key) { return k_at(key) + shape_.kv_heads * dim; };
    const auto size = [](double a, double b) { return std::fabs(a * b); };
    const double *q = qkv_.data() + q_at, *d_o = d_o_.data() + o_at;
    const int64_t first = shape_.window > 0 ? std::max(key_begin, row - shape_.window + 1) : key_begin;
    std::vector<double> p;
    double highest = -INFINITY, total = 0;
    for (int64_t key = first; key <= row; ++key) {
      p.push_back(shape_.scale() * std::inner_product(q, q + dim, qkv_.data() + k_at(key), 0.0));
      highest = std::max(highest, p.back());
    }
    for (double& value : p) total += value = std::exp(value - highest);
    const double dot = std::inner_product(d_o, d_o + dim, given_o_.data() + o_at, 0.0);
    const double dot_size =
        std::inner_product(d_o, d_o + dim, given_o_.data() + o_at, 0.0, std::plus<>(), size);
    for (int64_t key = first; key <= row; ++key) {
      const double weight = p[static_cast<size_t>(key - first)] / total;
      const double *k = qkv_.data() + k_at(key), *v = qkv_.data() + v_at(key);
      const double dp = std::inner_product(d_o, d_o + dim, v, 0.0);
      const double dp_size = std::inner_product(d_o, d_o + dim, v, 0.0, std::plus<>(), size);
      const double ds = shape_.scale() * weight * (kTerm * std::fabs(dp - dot) + kSum * (dp_size + dot_size));
      for (int64_t c = 0; c < dim; ++c) {
        o[static_cast<size_t>(o_at + c)] += kTerm * weight * std::fabs(v[c]);
        dqkv[static_cast<size_t>(q_at + c)] += ds * std::fabs(k[c]);
        dqkv[static_cast<size_t>(k_at(key) + c)] += ds * std::fabs(q[c]);
        dqkv[static_cast<size_t>(v_at(key) + c)] += kTerm * weight * std::fabs(d_o[c]);
      }
    }
  }

  const AttentionCase& shape_;
  const std::vector<double>&qkv_, &d_o_, &given_o_;
};

/// Elements that are numbers in `expected` err by no more than the rounding to T and `error`; the others have
/// the bits of NaN that they had.
template <class T>
void expect_attention(const std::vector<T>& actual, const std::vector<double>& expected,
                      const std::vector<double>& error, const char* what) {
  ASSERT_EQ(actual.size(), expected.size());
  const T untouched(NAN);
  for (size_t i = 0; i < actual.size(); ++i) {
    if (std::isnan(expected[i])) {
      ASSERT_EQ(std::memcmp(&actual[i], &untouched, sizeof(T)), 0) << what << "[" << i << "] was written";
      continue;
    }
    ASSERT_NEAR(static_cast<double>(load(actual[i])), expected[i],
                unit<T>() * std::fabs(expected[i]) + error[i])
        << what << "[" << i << "]";
  }
}

}  // namespace prospect::test
