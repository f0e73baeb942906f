#pragma once

#include <span>
#include <vector>

#include "model/transformer.h"
#include "train/batch_plan.h"
#include "train/examples.h"
#include "train/metrics.h"
#include "train/scoring.h"

namespace prospect {

/// One global batch through policy and reference, in two phases: (a) every forward without a gradient
/// (mismatched pairs for z0, the reference, for kto-edifice also the policy) and one reduction; (b) the
/// policy forward and backward by micro-batch with that z0. Loss and gradient depend on the batch and its
/// loss groups alone: not on ranks, micro-batches or packing, for which groups have no meaning.
class BatchPass {
 public:
  struct Options {
    Objective objective{};
    int64_t max_length = 1024;
    int64_t micro_batch_tokens = 1024;
    bool gradient_checkpointing = false;
    bool dropout = false;
    uint64_t seed = 0;
  };

  /// Keeps references to all of them. `reference` is null for the objective lm.
  BatchPass(const Transformer& policy, const Transformer* reference, Communicator& communicator,
            const Options& options);

  /// Leaves the gradient of the batch's loss in the policy's arena.
  /// Throws: Error(NumericStop) naming the rows whose loss is not a finite number.
  StepRecord train(std::span<const Example> examples, const StepPlan& plan) const;

  struct Evaluation {
    StepRecord record;
    std::vector<double> log_ratios;  ///< of the batch's rows, in its order
  };
  /// The same numbers without dropout and gradient.
  Evaluation evaluate(std::span<const Example> examples, const StepPlan& plan) const;

 private:
  struct Prepared;
  Prepared prepare(std::span<const Example> examples, const StepPlan& plan) const;
  void estimate_z0(Prepared& prepared, std::span<const Example> examples, const StepPlan& plan) const;
  void couple(Prepared& prepared) const;
  /// Returns the log-ratios of the rows; adds to the statistics of their groups.
  std::vector<double> run_micro_batches(Prepared& prepared, const ForwardOptions& forward) const;
  StepRecord report(Prepared& prepared) const;
  void require_finite(const Prepared& prepared, std::span<const double> values) const;

  const Transformer& policy_;
  const Transformer* const reference_;
  Communicator& communicator_;
  const Options options_;
};

}  // namespace prospect
