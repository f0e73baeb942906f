#include "kernels/matmul/matmul.h"

#include "engine/ops.h"
#include "engine/ops/require.h"

namespace prospect {

namespace {

/// Fills in the scratch and multiplies.
template <class T>
void multiply(const Device& device, kernels::Matmul<T> args) {
  const int64_t bytes = kernels::cpu::matmul_scratch_bytes<T>(args.rows, args.columns, args.inner);
  const std::shared_ptr<std::byte> scratch = bytes > 0 ? device.allocate(bytes) : nullptr;
  args.scratch = scratch.get();
  kernels::cpu::matmul<T>(args);
}

/// dx = dy weight, dweight = dy^T x, dbias = the sum of dy's rows.
template <class T>
void matmul_backward(const Tensor& x, const Tensor& weight, const Tensor& dy,
                     std::span<const GradTarget> targets) {
  const int64_t rows = x.size(0), in = x.size(1), out = weight.size(0);
  multiply<T>(x.device(), {.y = target_data<T>(targets[0].buffer),
                           .y_mode = targets[0].mode,
                           .a = dy.data<T>(),
                           .b = weight.data<T>(),
                           .rows = rows,
                           .columns = in,
                           .inner = out,
                           .lda = out,
                           .ldb = in,
                           .ldy = in});
  multiply<T>(x.device(), {.y = target_data<T>(targets[1].buffer),
                           .y_mode = targets[1].mode,
                           .a = dy.data<T>(),
                           .b = x.data<T>(),
                           .rows = out,
                           .columns = in,
                           .inner = rows,
                           .lda = out,
                           .ldb = in,
                           .ldy = in,
                           .transpose_a = true});
  kernels::cpu::matmul_bias_backward<T>({.dbias = target_data<T>(targets[2].buffer),
                                         .dbias_mode = targets[2].mode,
                                         .dy = dy.data<T>(),
                                         .rows = rows,
                                         .columns = out});
}

}  // namespace

Variable matmul(const Variable& x, const Variable& weight, const Variable& bias) {
  CHECK(x.shape().size() == 2, "matmul: x must be [rows, in], got {}", to_string(x.shape()));
  CHECK(weight.shape().size() == 2, "matmul: weight must be [out, in], got {}", to_string(weight.shape()));
  const int64_t rows = x.value().size(0), in = x.value().size(1), out = weight.value().size(0);
  const DType dtype = x.value().dtype();
  require("matmul", "weight", weight.value(), {out, in}, dtype);
  if (bias.defined()) require("matmul", "bias", bias.value(), {out}, dtype);
  const Tensor y = Tensor::empty({rows, out}, dtype, x.value().device());

  return with_dtype(dtype, [&]<class T>() {
    multiply<T>(y.device(), {.y = y.data<T>(),
                             .a = x.value().data<T>(),
                             .b = weight.value().data<T>(),
                             .bias = bias.value().data<T>(),
                             .rows = rows,
                             .columns = out,
                             .inner = in,
                             .lda = in,
                             .ldb = in,
                             .ldy = out,
                             .transpose_b = true});
    return record(
        y, {x, weight, bias},
        [x = x.value(), weight = weight.value()](const Tensor& dy, std::span<const GradTarget> targets) {
          matmul_backward<T>(x, weight, dy, targets);
        });
  });
}

}  // namespace prospect
