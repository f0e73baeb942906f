#include "engine/autograd.h"

#include <unordered_map>
#include <unordered_set>

#include "kernels/common/parallel.h"

namespace prospect {

namespace {

// Recording is a property of the calling thread, as an op has no other way to know who calls it.
thread_local bool recording = true;

/// Where the next contribution to this node's gradient goes.
GradTarget next_target(GradNode& node) {
  if (!node.grad.defined()) node.grad = Tensor::empty(node.shape, node.dtype, *node.device);
  const GradMode mode = node.filled ? GradMode::Accumulate : GradMode::Overwrite;
  node.filled = true;
  return {node.grad, mode};
}

/// All nodes reachable from root, each before its inputs. Iterative: graphs are as deep as models.
std::vector<std::shared_ptr<GradNode>> topological_order(const std::shared_ptr<GradNode>& root) {
  std::vector<std::shared_ptr<GradNode>> order;
  std::unordered_set<GradNode*> seen{root.get()};
  std::vector<std::pair<std::shared_ptr<GradNode>, size_t>> stack{{root, 0}};
  while (!stack.empty()) {
    auto& [node, next] = stack.back();
    if (next == node->inputs.size()) {
      order.push_back(node);
      stack.pop_back();
      continue;
    }
    const std::shared_ptr<GradNode> input = node->inputs[next++];
    if (input && seen.insert(input.get()).second) stack.emplace_back(input, 0);
  }
  return {order.rbegin(), order.rend()};
}

/// Targets for all inputs of a node. An input that occurs twice gets a scratch buffer for its later slots,
/// since a closure may write its targets in any order.
std::vector<GradTarget> targets_of(GradNode& node, std::vector<std::pair<GradNode*, Tensor>>& repeated) {
  std::vector<GradTarget> targets;
  std::unordered_set<GradNode*> used;
  for (const std::shared_ptr<GradNode>& input :
       std::span(node.inputs).first(node.inputs.size() - node.claimed)) {
    if (!input) {
      targets.emplace_back();
    } else if (used.insert(input.get()).second) {
      targets.push_back(next_target(*input));
    } else {
      repeated.emplace_back(input.get(), Tensor::empty(input->shape, input->dtype, *input->device));
      targets.push_back({repeated.back().second, GradMode::Overwrite});
    }
  }
  return targets;
}

void run_closure(GradNode& node) {
  std::vector<std::pair<GradNode*, Tensor>> repeated;
  const std::vector<GradTarget> targets = targets_of(node, repeated);
  node.backward(node.grad, targets);
  for (auto& [input, extra] : repeated) deliver(extra, {input->grad, GradMode::Accumulate});
  node.backward = nullptr;
  node.inputs.clear();
  node.grad = {};
  node.filled = false;
}

}  // namespace

Variable Variable::parameter(Tensor value, Tensor grad) {
  CHECK(!grad.defined() || (grad.shape() == value.shape() && grad.dtype() == value.dtype()),
        "parameter: gradient must be {}, got {}", to_string(value.shape()), to_string(grad.shape()));
  auto node = std::make_shared<GradNode>();
  node->shape = value.shape();
  node->dtype = value.dtype();
  node->device = std::make_shared<const Device>(value.device());
  node->grad = std::move(grad);
  return {std::move(value), std::move(node)};
}

void Variable::zero_grad() const {
  if (node_) node_->filled = false;
}

void Variable::set_on_ready(std::function<void()> hook) const {
  CHECK(node_ && !node_->backward, "set_on_ready: only a parameter has a gradient hook");
  node_->on_ready = std::move(hook);
}

NoGrad::NoGrad() : before_(recording) {
  recording = false;
}

NoGrad::~NoGrad() {
  recording = before_;
}

bool grad_enabled() {
  return recording;
}

bool needs_grad(std::span<const Variable> inputs) {
  if (!recording) return false;
  for (const Variable& input : inputs) {
    if (input.needs_grad()) return true;
  }
  return false;
}

Variable record(Tensor value, std::vector<Variable> inputs, Backward backward,
                const std::vector<Variable>& claimed) {
  inputs.insert(inputs.end(), claimed.begin(), claimed.end());
  if (!needs_grad(inputs)) return Variable(std::move(value));
  auto node = std::make_shared<GradNode>();
  node->shape = value.shape();
  node->dtype = value.dtype();
  node->device = std::make_shared<const Device>(value.device());
  node->backward = std::move(backward);
  for (const Variable& input : inputs) node->inputs.push_back(input.node());
  node->claimed = claimed.size();
  return {std::move(value), std::move(node)};
}

GradTarget claim_gradient(const Variable& variable) {
  return recording && variable.needs_grad() ? next_target(*variable.node()) : GradTarget{};
}

void deliver(const Tensor& gradient, const GradTarget& target) {
  if (target.mode == GradMode::Ignore) return;
  CHECK(gradient.shape() == target.buffer.shape(), "deliver: gradient must be {}, got {}",
        to_string(target.buffer.shape()), to_string(gradient.shape()));
  if (target.mode == GradMode::Overwrite) return target.buffer.copy_from(gradient);
  with_dtype(gradient.dtype(), [&]<class T>() {
    const T* from = gradient.data<T>();
    T* to = target.buffer.data<T>();
    parallel_for(gradient.count(), [&](int64_t i) { put(to[i], load(from[i]), GradMode::Accumulate); });
  });
}

void backward(const Variable& root, const Tensor& seed) {
  CHECK(root.needs_grad(), "backward: the root does not depend on any parameter");
  GradNode& start = *root.node();
  const GradTarget target = next_target(start);
  if (seed.defined()) {
    deliver(seed, target);
  } else {
    CHECK(root.value().count() == 1, "backward: root {} needs a seed", to_string(root.shape()));
    CHECK(target.mode == GradMode::Overwrite, "backward: the root already has a gradient");
    with_dtype(start.dtype, [&]<class T>() { target.buffer.data<T>()[0] = static_cast<T>(1.0f); });
  }
  // The list owns the nodes: a closure that is freed may hold the last other reference to its inputs.
  std::vector<std::shared_ptr<GradNode>> order = topological_order(root.node());
  std::unordered_map<GradNode*, int> uses;
  for (const auto& node : order) {
    for (const auto& input : node->inputs) {
      if (input) ++uses[input.get()];
    }
  }
  for (std::shared_ptr<GradNode>& node : order) {
    if (!node->backward) continue;
    const std::vector<std::shared_ptr<GradNode>> inputs = node->inputs;
    if (node->filled) run_closure(*node);
    for (const auto& input : inputs) {
      if (input && --uses[input.get()] == 0 && input->on_ready && input->filled) input->on_ready();
    }
    node.reset();
  }
}

}  // namespace prospect
