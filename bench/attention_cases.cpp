#include <fmt/format.h>

#include <cmath>

#include "bench/cases.h"
#include "kernels/attention/attention.h"

namespace prospect::bench {
namespace {

/// Equal causal sequences, packed; queries, keys and values side by side in a row.
struct Shape {
  int64_t sequences, length, heads, kv_heads, head_dim;

  int64_t tokens() const { return sequences * length; }
  int64_t stride() const { return (heads + 2 * kv_heads) * head_dim; }
  /// Of a query head and a key that it sees.
  double pairs() const { return static_cast<double>(heads * sequences * length * (length + 1)) / 2; }
  std::string name() const {
    return fmt::format("{}x{} heads {}/{} of {}", sequences, length, heads, kv_heads, head_dim);
  }
};

kernels::AttentionProblem problem(Arrays& arrays, const Shape& shape) {
  std::vector<int32_t> bounds;
  for (int64_t s = 0; s < shape.sequences; ++s) {
    const auto begin = static_cast<int32_t>(s * shape.length),
               end = static_cast<int32_t>(begin + shape.length);
    bounds.insert(bounds.end(), {begin, end, begin, end});
  }
  return {.bounds = arrays.given(bounds),
          .sequences = shape.sequences,
          .tokens = shape.tokens(),
          .key_rows = shape.tokens(),
          .max_keys = shape.length,
          .heads = shape.heads,
          .kv_heads = shape.kv_heads,
          .head_dim = shape.head_dim,
          .scale = 1 / std::sqrt(static_cast<double>(shape.head_dim)),
          .window = 0};
}

template <class T>
Work forward(Arrays& arrays, const Shape& shape) {
  const T* q = arrays.normal<T>(shape.tokens() * shape.stride());
  const T* k = q + shape.heads * shape.head_dim;
  const int64_t o_stride = shape.heads * shape.head_dim;
  const kernels::AttentionForward<T> args{.o = arrays.empty<T>(shape.tokens() * o_stride),
                                          .lse = arrays.empty<float>(shape.tokens() * shape.heads),
                                          .scratch = nullptr,
                                          .q = q,
                                          .k = k,
                                          .v = k + shape.kv_heads * shape.head_dim,
                                          .o_stride = o_stride,
                                          .q_stride = shape.stride(),
                                          .k_stride = shape.stride(),
                                          .v_stride = shape.stride(),
                                          .problem = problem(arrays, shape)};
  const int64_t elements = shape.tokens() * (shape.stride() + o_stride);
  return {.bytes = static_cast<double>(elements * static_cast<int64_t>(sizeof(T)) +
                                       4 * shape.tokens() * shape.heads),
          .flops = 4 * shape.pairs() * static_cast<double>(shape.head_dim),
          .in_bf16 = sizeof(T) == 2,
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::attention_forward(args, stream); }};
}

template <class T>
Work backward(Arrays& arrays, const Shape& shape) {
  const int64_t k_column = shape.heads * shape.head_dim,
                v_column = k_column + shape.kv_heads * shape.head_dim;
  const kernels::AttentionProblem of = problem(arrays, shape);
  const T* q = arrays.normal<T>(shape.tokens() * shape.stride());
  T* dq = arrays.empty<T>(shape.tokens() * shape.stride());
  // The logarithms of the sums are of the size that they have for normal q and k: of as many keys as are
  // seen.
  const std::vector<float> lse(static_cast<size_t>(shape.tokens() * shape.heads),
                               static_cast<float>(std::log(static_cast<double>(shape.length)) + 0.5));
  const kernels::AttentionBackward<T> args{
      .dq = dq,
      .dk = dq + k_column,
      .dv = dq + v_column,
      .mode = GradMode::Overwrite,
      .scratch = arrays.empty<std::byte>(kernels::cuda::attention_backward_scratch_bytes(of)),
      .d_o = arrays.normal<T>(shape.tokens() * k_column),
      .o = arrays.normal<T>(shape.tokens() * k_column),
      .q = q,
      .k = q + k_column,
      .v = q + v_column,
      .lse = arrays.given(lse),
      .o_stride = k_column,
      .q_stride = shape.stride(),
      .k_stride = shape.stride(),
      .v_stride = shape.stride(),
      .problem = of};
  const int64_t elements = shape.tokens() * (2 * shape.stride() + 2 * k_column);
  return {.bytes = static_cast<double>(elements * static_cast<int64_t>(sizeof(T)) +
                                       4 * shape.tokens() * shape.heads),
          .flops = 10 * shape.pairs() * static_cast<double>(shape.head_dim),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::attention_backward(args, stream); }};
}

template <class T>
void add(std::vector<Case>& list, const char* type, const Shape& shape) {
  list.push_back({fmt::format("attention_forward {} {}", type, shape.name()),
                  [=](Arrays& arrays) { return forward<T>(arrays, shape); }});
  list.push_back({fmt::format("attention_backward {} {}", type, shape.name()),
                  [=](Arrays& arrays) { return backward<T>(arrays, shape); }});
}

}  // namespace

std::vector<Case> cases() {
  std::vector<Case> list;
  add<bf16>(list, "bf16", {8, 2048, 16, 16, 128});
  add<bf16>(list, "bf16", {8, 2048, 32, 32, 64});
  add<bf16>(list, "bf16", {32, 512, 32, 8, 128});
  add<float>(list, "f32", {8, 256, 12, 12, 64});
  return list;
}

}  // namespace prospect::bench
