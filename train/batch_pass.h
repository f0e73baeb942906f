#pragma once

#include <functional>
#include <span>
#include <vector>

#include "model/transformer.h"
#include "train/batch_plan.h"
#include "train/examples.h"
#include "train/metrics.h"
#include "train/scoring.h"

namespace prospect {

/// Where the reference's log-probabilities come from: of each sequence's completion tokens, of the compute
/// dtype of the policy.
using ReferenceLogps = std::function<std::vector<Tensor>(std::span<const Sequence>)>;

/// The rows of a step, in its order.
std::vector<Sequence> matched_sequences(std::span<const Example> examples, const StepPlan& plan);
/// The pairs (prompt of a row, completion of its partner), in the order of the rows that have a partner.
std::vector<Sequence> mismatched_sequences(std::span<const Example> examples, const StepPlan& plan,
                                           int64_t max_length);

/// One global batch through the policy, in two phases: (a) every forward without a gradient
/// (mismatched pairs for z0, for kto-edifice the rows too) and one reduction; (b) the policy forward and
/// backward by micro-batch with that z0. Loss and gradient depend on the batch and its
/// loss groups alone: not on ranks, micro-batches or packing, for which groups have no meaning.
class BatchPass {
 public:
  struct Options {
    Objective objective{};
    int64_t max_length = 1024;
    int64_t micro_batch_tokens = kMicroBatchTokens;
    bool gradient_checkpointing = false;
    bool dropout = false;
    uint64_t seed = 0;
  };

  /// Keeps references to policy and communicator. `reference` is empty for the objective lm.
  BatchPass(const Transformer& policy, ReferenceLogps reference, Communicator& communicator,
            const Options& options);

  /// Leaves the gradient of the batch's loss in the policy's arena: a useless one where the record is not
  /// sound.
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
  /// Returns the log-ratios of the rows; adds to the statistics of their groups and to the unsound rows.
  std::vector<double> run_micro_batches(Prepared& prepared, const ForwardOptions& forward) const;
  StepRecord report(Prepared& prepared) const;

  const Transformer& policy_;
  const ReferenceLogps reference_;
  Communicator& communicator_;
  const Options options_;
};

}  // namespace prospect
