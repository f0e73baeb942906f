#include <fmt/format.h>

#include "bench/cases.h"
#include "kernels/qk_norm/qk_norm.h"

namespace prospect::bench {
namespace {

using kernels::QkNormShape;

template <class T>
Work forward(Arrays& arrays, const QkNormShape& shape) {
  const int64_t count = shape.tokens * shape.columns(), statistics = shape.tokens * shape.normalised();
  const kernels::QkNormForward<T> args{.y = arrays.empty<T>(count),
                                       .rstd = arrays.empty<float>(statistics),
                                       .x = arrays.normal<T>(count),
                                       .query_weight = arrays.normal<T>(shape.head_dim),
                                       .key_weight = arrays.normal<T>(shape.head_dim),
                                       .shape = shape,
                                       .epsilon = 1e-6};
  const int64_t bytes = (2 * count + 2 * shape.head_dim) * static_cast<int64_t>(sizeof(T)) + 4 * statistics;
  return {.bytes = static_cast<double>(bytes),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::qk_norm_forward(args, stream); }};
}

template <class T>
Work backward(Arrays& arrays, const QkNormShape& shape) {
  const int64_t count = shape.tokens * shape.columns(), statistics = shape.tokens * shape.normalised();
  const kernels::QkNormBackward<T> args{
      .dx = arrays.empty<T>(count),
      .dx_mode = GradMode::Overwrite,
      .dquery_weight = arrays.empty<T>(shape.head_dim),
      .dquery_weight_mode = GradMode::Overwrite,
      .dkey_weight = arrays.empty<T>(shape.head_dim),
      .dkey_weight_mode = GradMode::Overwrite,
      .scratch = arrays.empty<float>(kernels::cuda::qk_norm_backward_scratch_bytes(shape.head_dim) / 4),
      .dy = arrays.normal<T>(count),
      .x = arrays.normal<T>(count),
      .query_weight = arrays.normal<T>(shape.head_dim),
      .key_weight = arrays.normal<T>(shape.head_dim),
      .rstd = arrays.normal<float>(statistics),
      .shape = shape};
  const int64_t bytes = (3 * count + 4 * shape.head_dim) * static_cast<int64_t>(sizeof(T)) + 4 * statistics;
  return {.bytes = static_cast<double>(bytes),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::qk_norm_backward(args, stream); }};
}

template <class T>
void add(std::vector<Case>& list, const char* type, const QkNormShape& shape) {
  const auto name =
      fmt::format("{} {} heads {}/{} of {}", type, shape.tokens, shape.heads, shape.kv_heads, shape.head_dim);
  list.push_back({"qk_norm_forward " + name, [=](Arrays& arrays) { return forward<T>(arrays, shape); }});
  list.push_back({"qk_norm_backward " + name, [=](Arrays& arrays) { return backward<T>(arrays, shape); }});
}

}  // namespace

// The heads of Qwen3 8B and of Qwen3 0.6B.
std::vector<Case> cases() {
  std::vector<Case> list;
  add<bf16>(list, "bf16", {16384, 32, 8, 128});
  add<bf16>(list, "bf16", {16384, 16, 8, 128});
  add<float>(list, "f32", {16384, 16, 8, 128});
  return list;
}

}  // namespace prospect::bench
