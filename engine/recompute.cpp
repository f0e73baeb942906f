#include "engine/recompute.h"

namespace prospect {

Variable recompute(RecomputeFunction fn, std::vector<Variable> inputs) {
  Tensor value;
  {
    const NoGrad off;
    value = fn(inputs).value();
  }
  if (!grad_enabled()) return Variable(std::move(value));
  // The node exists even if no input needs a gradient: captured parameters may.
  std::vector<Tensor> kept;
  auto node = std::make_shared<GradNode>();
  node->shape = value.shape();
  node->dtype = value.dtype();
  node->device = std::make_shared<const Device>(value.device());
  for (const Variable& input : inputs) {
    kept.push_back(input.value());
    node->inputs.push_back(input.node());
  }
  node->backward = [fn = std::move(fn), kept](const Tensor& grad_output,
                                              std::span<const GradTarget> targets) {
    std::vector<Variable> again;
    for (size_t i = 0; i < kept.size(); ++i) {
      if (targets[i].mode == GradMode::Ignore) {
        again.emplace_back(kept[i]);
        continue;
      }
      again.push_back(Variable::parameter(kept[i], targets[i].buffer));
      again[i].node()->filled = targets[i].mode == GradMode::Accumulate;
    }
    const Variable output = fn(again);
    if (output.needs_grad()) backward(output, grad_output);
    for (size_t i = 0; i < kept.size(); ++i) {
      if (targets[i].mode != GradMode::Ignore && !again[i].node()->filled) targets[i].buffer.fill_zero();
    }
  };
  return {std::move(value), std::move(node)};
}

}  // namespace prospect
