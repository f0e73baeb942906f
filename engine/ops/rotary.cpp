#include "kernels/rotary/rotary.h"

#include "engine/ops.h"
#include "engine/ops/require.h"

namespace prospect {

namespace {

template <class T>
kernels::RotaryRows<T> rows_of(const Tensor& positions, const Tensor& inverse_frequencies,
                               const HeadLayout& layout, std::byte* scratch) {
  return {.scratch = reinterpret_cast<compute_t<T>*>(scratch),
          .positions = positions.data<int32_t>(),
          .inverse_frequencies = inverse_frequencies.data<double>(),
          .tokens = positions.count(),
          .heads = layout.heads,
          .kv_heads = layout.kv_heads,
          .head_dim = layout.head_dim};
}

}  // namespace

Variable rotary(const Variable& qkv, const Tensor& positions, const Tensor& inverse_frequencies,
                const HeadLayout& layout) {
  const int64_t tokens = positions.count(), head_dim = layout.head_dim;
  const DType dtype = qkv.value().dtype();
  CHECK(head_dim % 2 == 0, "rotary: head_dim must be even, got {}", head_dim);
  require("rotary", "qkv", qkv.value(), {tokens, layout.columns()}, dtype);
  require("rotary", "positions", positions, {tokens}, DType::I32);
  require("rotary", "inverse_frequencies", inverse_frequencies, {head_dim / 2}, DType::F64);
  const Device& device = qkv.value().device();
  const Tensor y = Tensor::empty(qkv.shape(), dtype, device);

  return with_dtype(dtype, [&]<class T>() {
    const auto scratch = device.allocate(kernels::cpu::rotary_scratch_bytes<T>(tokens, head_dim));
    kernels::cpu::rotary_forward<T>(
        {.y = y.data<T>(),
         .x = qkv.value().data<T>(),
         .rows = rows_of<T>(positions, inverse_frequencies, layout, scratch.get())});
    return record(
        y, {qkv},
        [positions, inverse_frequencies, layout](const Tensor& dy, std::span<const GradTarget> targets) {
          const int64_t bytes = kernels::cpu::rotary_scratch_bytes<T>(positions.count(), layout.head_dim);
          const auto scratch = dy.device().allocate(bytes);
          kernels::cpu::rotary_backward<T>(
              {.dx = target_data<T>(targets[0].buffer),
               .dx_mode = targets[0].mode,
               .dy = dy.data<T>(),
               .rows = rows_of<T>(positions, inverse_frequencies, layout, scratch.get())});
        });
  });
}

}  // namespace prospect
