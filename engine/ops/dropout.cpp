#include "kernels/dropout/dropout.h"

#include <limits>

#include "engine/ops.h"
#include "engine/ops/require.h"

namespace prospect {

Variable dropout(const Variable& x, double probability, const Tensor& examples, const Tensor& positions,
                 const DropoutKey& key) {
  CHECK(probability >= 0 && probability < 1, "dropout: probability must be in [0, 1), got {}", probability);
  if (probability == 0) return x;
  CHECK(x.shape().size() == 2, "dropout: x must be [tokens, columns], got {}", to_string(x.shape()));
  CHECK(key.site >= 0 && key.site <= std::numeric_limits<uint32_t>::max(),
        "dropout: site must fit 32 bits, got {}", key.site);
  const int64_t tokens = x.value().size(0), columns = x.value().size(1);
  require("dropout", "examples", examples, {tokens}, DType::I32);
  require("dropout", "positions", positions, {tokens}, DType::I32);
  const DType dtype = x.value().dtype();
  const Tensor y = Tensor::empty(x.shape(), dtype, x.value().device());
  const kernels::DropoutMask mask{.probability = probability,
                                  .key = kernels::dropout_key(key.seed, key.step),
                                  .site = static_cast<uint32_t>(key.site),
                                  .examples = examples.data<int32_t>(),
                                  .positions = positions.data<int32_t>()};

  return with_dtype(dtype, [&]<class T>() {
    kernels::cpu::dropout_forward<T>(
        {.y = y.data<T>(), .x = x.value().data<T>(), .mask = mask, .tokens = tokens, .columns = columns});
    // The tensors are captured to keep alive what the mask points to.
    return record(y, {x}, [mask, examples, positions](const Tensor& dy, std::span<const GradTarget> targets) {
      kernels::cpu::dropout_backward<T>({.dx = target_data<T>(targets[0].buffer),
                                         .dx_mode = targets[0].mode,
                                         .dy = dy.data<T>(),
                                         .mask = mask,
                                         .tokens = dy.size(0),
                                         .columns = dy.size(1)});
    });
  });
}

}  // namespace prospect
