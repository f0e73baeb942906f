#pragma once

#include <optional>
#include <unordered_set>
#include <vector>

#include "model/transformer.h"
#include "train/batch_plan.h"
#include "train/packed_batch.h"
#include "train/reference_cache.h"
#include "train/run_inputs.h"

namespace prospect {

/// The frozen reference of a run. All sequences that the planned steps and evaluations will ask for are known
/// beforehand: what the cache has of them is read, the rest is computed before training begins, and then no
/// reference is in memory any more.
class Reference {
 public:
  /// Lists the sequences from step `first_step` on and looks them up. Where some are missing it loads the
  /// reference, unless that is the policy as it stands now. Keeps a reference to the inputs; writes nothing.
  /// The cache is read and written through `system`. Throws: what load_model throws.
  Reference(const TrainOptions& options, const RunInputs& inputs, int64_t first_step,
            const FileSystem& system);

  /// Computes what is missing, by micro-batches. A sequence's bits do not depend on those beside it, so that
  /// a cache never changes a result. Keeps the cache up to date on the way.
  /// Throws: Error(Preempted) at a signal, Error(NumericStop) `file:line: reason` for a log-probability that
  /// is not finite.
  void complete();

  /// Of each sequence's completion tokens, in the compute dtype. Requires: complete(), planned sequences.
  std::vector<Tensor> log_probabilities(std::span<const Sequence> sequences) const;

 private:
  struct Planned {
    Sequence sequence;
    Hash128 key;
    const Corpus* corpus;
  };
  void look_up(const TrainOptions& options, const Corpus& corpus, int64_t first_step, int64_t last_step);
  void look_up(const Sequence& sequence, const Corpus& corpus);
  void compute_missing();
  /// The number of tokens computed.
  int64_t compute_batch(const Transformer& reference, const MicroBatch& members);
  void report(double seconds) const;

  const RunInputs& inputs_;
  const int64_t micro_batch_tokens_;
  ReferenceCache cache_;
  std::unordered_set<Hash128, Hash128Hash> planned_;
  std::vector<Planned> missing_;
  std::optional<Model> model_;  ///< where something is missing and the policy is another model
};

}  // namespace prospect
