#include "kernels/residual_add/residual_add.h"

#include "engine/ops.h"
#include "engine/ops/require.h"

namespace prospect {

Variable residual_add(const Variable& x, const Variable& branch) {
  const DType dtype = x.value().dtype();
  require("residual_add", "branch", branch.value(), x.shape(), dtype);
  const Tensor y = Tensor::empty(x.shape(), dtype, x.value().device());

  return with_dtype(dtype, [&]<class T>() {
    kernels::cpu::residual_add_forward<T>(
        {.y = y.data<T>(), .x = x.value().data<T>(), .branch = branch.value().data<T>(), .count = y.count()});
    return record(y, {x, branch}, [](const Tensor& dy, std::span<const GradTarget> targets) {
      kernels::cpu::residual_add_backward<T>({.dx = target_data<T>(targets[0].buffer),
                                              .dx_mode = targets[0].mode,
                                              .dbranch = target_data<T>(targets[1].buffer),
                                              .dbranch_mode = targets[1].mode,
                                              .dy = dy.data<T>(),
                                              .count = dy.count()});
    });
  });
}

}  // namespace prospect
