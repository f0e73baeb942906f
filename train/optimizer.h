#pragma once

#include <cstdint>
#include <vector>

#include "model/parameters.h"
#include "train/checkpoint.h"

namespace prospect {

/// Which parameters weight decay shrinks.
enum class DecayScope {
  MatricesAndEmbeddings,  ///< not biases and norms, as the transformers library does
  All,
};

struct OptimizerOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  DecayScope decay_scope = DecayScope::MatricesAndEmbeddings;
};

/// AdamW over the arena of a model's parameters (kernels/adamw/adamw.h), with the gradient's norm clipped
/// before (kernels/grad_norm/grad_norm.h). Moments lie in arenas of the same layout, in f32 (f64 for f64);
/// bf16 parameters have an f32 master, whose rounding they are.
class Optimizer {
 public:
  /// Elements [begin, end) of the arena that share a decay.
  struct Range {
    int64_t begin, end;
    double weight_decay;
    bool operator==(const Range&) const = default;
  };
  struct StepResult {
    double grad_norm;  ///< before clipping
    bool finite;       ///< false: the step changed nothing
  };

  /// Takes masters from the parameters as they are now. Requires: parameters with gradients, which outlive
  /// it.
  Optimizer(const Parameters& parameters, const OptimizerOptions& options);

  /// One update from the gradient arena. A gradient with NaN or infinity leaves parameters, moments and the
  /// count of steps as they were. max_grad_norm 0: no clipping.
  StepResult step(double learning_rate, double max_grad_norm);

  /// Updates made; the bias correction of the next one counts on from it.
  int64_t steps() const;
  /// Decay by ranges, which cover the arena.
  const std::vector<Range>& ranges() const { return ranges_; }
  /// All that a checkpoint needs besides the parameters: moments, count of steps and, for bf16, masters.
  /// Loading into these tensors restores the optimizer.
  std::vector<NamedTensor> state() const;

 private:
  const Parameters& parameters_;
  OptimizerOptions options_;
  std::vector<Range> ranges_;
  Tensor first_moment_, second_moment_, master_;
  Tensor steps_;                                  ///< [1] i32
  Tensor norm_, clip_factor_, finite_, scratch_;  ///< of a step, where the kernels read them
};

}  // namespace prospect
