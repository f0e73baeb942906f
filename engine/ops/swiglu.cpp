#include "kernels/swiglu/swiglu.h"

#include "engine/ops.h"
#include "engine/ops/require.h"

namespace prospect {

Variable swiglu(const Variable& gate_up) {
  CHECK(gate_up.shape().size() == 2 && gate_up.value().size(1) % 2 == 0,
        "swiglu: gate_up must be [rows, 2 columns], got {}", to_string(gate_up.shape()));
  const int64_t rows = gate_up.value().size(0), columns = gate_up.value().size(1) / 2;
  const DType dtype = gate_up.value().dtype();
  const Tensor y = Tensor::empty({rows, columns}, dtype, gate_up.value().device());

  return with_dtype(dtype, [&]<class T>() {
    kernels::cpu::swiglu_forward<T>(
        {.y = y.data<T>(), .gate_up = gate_up.value().data<T>(), .rows = rows, .columns = columns});
    return record(y, {gate_up},
                  [gate_up = gate_up.value()](const Tensor& dy, std::span<const GradTarget> targets) {
                    kernels::cpu::swiglu_backward<T>({.dgate_up = target_data<T>(targets[0].buffer),
                                                      .dgate_up_mode = targets[0].mode,
                                                      .dy = dy.data<T>(),
                                                      .gate_up = gate_up.data<T>(),
                                                      .rows = dy.size(0),
                                                      .columns = dy.size(1)});
                  });
  });
}

}  // namespace prospect
