#include "kernels/rmsnorm/rmsnorm.h"

#include "engine/ops.h"
#include "engine/ops/require.h"

namespace prospect {

Variable rmsnorm(const Variable& x, const Variable& weight, double epsilon) {
  CHECK(x.shape().size() == 2, "rmsnorm: x must be [rows, columns], got {}", to_string(x.shape()));
  const int64_t rows = x.value().size(0), columns = x.value().size(1);
  const DType dtype = x.value().dtype();
  require("rmsnorm", "weight", weight.value(), {columns}, dtype);
  const Device& device = x.value().device();
  const Tensor y = Tensor::empty(x.shape(), dtype, device);
  const Tensor rstd = Tensor::empty({rows}, compute_dtype(dtype), device);

  return with_dtype(dtype, [&]<class T>() {
    using C = compute_t<T>;
    kernels::cpu::rmsnorm_forward<T>({.y = y.data<T>(),
                                      .rstd = rstd.data<C>(),
                                      .x = x.value().data<T>(),
                                      .weight = weight.value().data<T>(),
                                      .rows = rows,
                                      .columns = columns,
                                      .epsilon = epsilon});
    return record(y, {x, weight},
                  [x = x.value(), weight = weight.value(), rstd](const Tensor& dy,
                                                                 std::span<const GradTarget> targets) {
                    const int64_t columns = x.size(1);
                    const int64_t scratch_bytes = kernels::cpu::rmsnorm_backward_scratch_bytes<T>(columns);
                    const auto scratch = x.device().allocate(scratch_bytes);
                    kernels::cpu::rmsnorm_backward<T>({.dx = target_data<T>(targets[0].buffer),
                                                       .dx_mode = targets[0].mode,
                                                       .dweight = target_data<T>(targets[1].buffer),
                                                       .dweight_mode = targets[1].mode,
                                                       .scratch = reinterpret_cast<C*>(scratch.get()),
                                                       .dy = dy.data<T>(),
                                                       .x = x.data<T>(),
                                                       .weight = weight.data<T>(),
                                                       .rstd = rstd.data<C>(),
                                                       .rows = x.size(0),
                                                       .columns = columns});
                  });
  });
}

}  // namespace prospect
