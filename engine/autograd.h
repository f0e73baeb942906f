#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/tensor.h"
#include "kernels/common/grad_mode.h"

namespace prospect {

/// Where a backward closure puts the gradient of one input, and how. The engine owns the decision.
struct GradTarget {
  Tensor buffer;  ///< undefined when mode is Ignore
  GradMode mode = GradMode::Ignore;
};

/// Computes the gradients of an op's inputs from that of its output: targets[i] belongs to input i.
using Backward = std::function<void(const Tensor& grad_output, std::span<const GradTarget> targets)>;

/// One point of the graph. Edges lead to other nodes, never to tensors: an activation lives only as long as a
/// closure captured it.
struct GradNode {
  Shape shape;
  DType dtype = DType::F32;
  std::shared_ptr<const Device> device;
  std::vector<std::shared_ptr<GradNode>> inputs;  ///< null where an input needs no gradient
  size_t claimed = 0;   ///< so many of the last inputs had their gradient made already: they get no target
  Backward backward;    ///< empty for a leaf
  Tensor grad;          ///< a leaf's is kept; any other's is freed once used
  bool filled = false;  ///< grad holds a contribution
  std::function<void()> on_ready;  ///< leaf only: called when backward() made its last contribution
};

/// A tensor and its place in the graph. Without a node it is a constant.
class Variable {
 public:
  Variable() = default;
  explicit Variable(Tensor value) : value_(std::move(value)) {}
  Variable(Tensor value, std::shared_ptr<GradNode> node) : value_(std::move(value)), node_(std::move(node)) {}

  /// A leaf that needs a gradient, of the value's shape and dtype. `grad` is where it goes (a view of an
  /// arena); without one the engine allocates it at the first contribution.
  static Variable parameter(Tensor value, Tensor grad = {});

  bool defined() const { return value_.defined(); }
  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  bool needs_grad() const { return node_ != nullptr; }
  const std::shared_ptr<GradNode>& node() const { return node_; }
  /// The gradient; undefined while nothing was contributed.
  Tensor grad() const { return node_ && node_->filled ? node_->grad : Tensor(); }
  /// Forgets the gradient: the next contribution overwrites. Nothing is written.
  void zero_grad() const;
  /// Requires: a leaf.
  void set_on_ready(std::function<void()> hook) const;
  /// The same tensor as a constant.
  Variable detach() const { return Variable(value_); }

 private:
  Tensor value_;
  std::shared_ptr<GradNode> node_;
};

/// While one lives, ops on this thread record nothing.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

bool grad_enabled();
/// Whether an op on these inputs must be recorded.
bool needs_grad(std::span<const Variable> inputs);

/// The result of an op: with a node if recording is on and any input needs a gradient. Undefined inputs (an
/// absent bias) count as constants. `claimed` are further inputs whose gradient the op made already, through
/// claim_gradient: backward() passes no target for them, but keeps their place in the order and their hooks.
Variable record(Tensor value, std::vector<Variable> inputs, Backward backward,
                const std::vector<Variable>& claimed = {});

/// The target of the next contribution to a variable's gradient, which then counts as made: for ops that know
/// an input's gradient while they run forward. Ignore for constants.
GradTarget claim_gradient(const Variable& variable);

/// Puts a gradient that was made elsewhere where its target says. Requires: same shape and dtype.
void deliver(const Tensor& gradient, const GradTarget& target);

/// Adds d(sum(root * seed))/d(leaf) to every leaf below root; the seed is 1 where none is given. Frees the
/// graph's closures as it goes: a graph can be walked once.
/// Throws: Error(Bug) without a seed unless root has one element.
void backward(const Variable& root, const Tensor& seed = {});

}  // namespace prospect
