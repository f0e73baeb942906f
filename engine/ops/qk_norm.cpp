#include "kernels/qk_norm/qk_norm.h"

#include "engine/ops.h"
#include "engine/ops/require.h"

namespace prospect {

Variable qk_norm(const Variable& qkv, const Variable& query_weight, const Variable& key_weight,
                 const HeadLayout& layout, double epsilon) {
  CHECK(qkv.shape().size() == 2, "qk_norm: qkv must be [tokens, columns], got {}", to_string(qkv.shape()));
  const DType dtype = qkv.value().dtype();
  const kernels::QkNormShape shape{.tokens = qkv.value().size(0),
                                   .heads = layout.heads,
                                   .kv_heads = layout.kv_heads,
                                   .head_dim = layout.head_dim};
  require("qk_norm", "qkv", qkv.value(), {shape.tokens, layout.columns()}, dtype);
  require("qk_norm", "query_weight", query_weight.value(), {layout.head_dim}, dtype);
  require("qk_norm", "key_weight", key_weight.value(), {layout.head_dim}, dtype);
  const Device& device = qkv.value().device();
  const Tensor y = Tensor::empty(qkv.shape(), dtype, device);
  const Tensor rstd = Tensor::empty({shape.tokens, shape.normalised()}, compute_dtype(dtype), device);

  return with_dtype(dtype, [&]<class T>() {
    using C = compute_t<T>;
    kernels::cpu::qk_norm_forward<T>({.y = y.data<T>(),
                                      .rstd = rstd.data<C>(),
                                      .x = qkv.value().data<T>(),
                                      .query_weight = query_weight.value().data<T>(),
                                      .key_weight = key_weight.value().data<T>(),
                                      .shape = shape,
                                      .epsilon = epsilon});
    return record(y, {qkv, query_weight, key_weight},
                  [x = qkv.value(), query_weight = query_weight.value(), key_weight = key_weight.value(),
                   rstd, shape](const Tensor& dy, std::span<const GradTarget> targets) {
                    const auto scratch =
                        x.device().allocate(kernels::cpu::qk_norm_backward_scratch_bytes<T>(shape.head_dim));
                    kernels::cpu::qk_norm_backward<T>({.dx = target_data<T>(targets[0].buffer),
                                                       .dx_mode = targets[0].mode,
                                                       .dquery_weight = target_data<T>(targets[1].buffer),
                                                       .dquery_weight_mode = targets[1].mode,
                                                       .dkey_weight = target_data<T>(targets[2].buffer),
                                                       .dkey_weight_mode = targets[2].mode,
                                                       .scratch = reinterpret_cast<C*>(scratch.get()),
                                                       .dy = dy.data<T>(),
                                                       .x = x.data<T>(),
                                                       .query_weight = query_weight.data<T>(),
                                                       .key_weight = key_weight.data<T>(),
                                                       .rstd = rstd.data<C>(),
                                                       .shape = shape});
                  });
  });
}

}  // namespace prospect
