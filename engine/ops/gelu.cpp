#include "kernels/gelu/gelu.h"

#include "engine/ops.h"
#include "engine/ops/require.h"

namespace prospect {

Variable gelu(const Variable& x, GeluKind kind) {
  const DType dtype = x.value().dtype();
  const Tensor y = Tensor::empty(x.shape(), dtype, x.value().device());

  return with_dtype(dtype, [&]<class T>() {
    kernels::cpu::gelu_forward<T>(
        {.y = y.data<T>(), .x = x.value().data<T>(), .count = y.count(), .kind = kind});
    return record(y, {x}, [x = x.value(), kind](const Tensor& dy, std::span<const GradTarget> targets) {
      kernels::cpu::gelu_backward<T>({.dx = target_data<T>(targets[0].buffer),
                                      .dx_mode = targets[0].mode,
                                      .dy = dy.data<T>(),
                                      .x = x.data<T>(),
                                      .count = x.count(),
                                      .kind = kind});
    });
  });
}

}  // namespace prospect
