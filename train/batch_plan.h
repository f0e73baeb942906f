#pragma once

#include <cstdint>
#include <span>
#include <vector>

/// The global plan of a run: which examples a step trains on, which completions its KL pairs take, and which
/// of its rows share a z0. Pure functions of (seed, epoch, step, example index): ranks and micro-batches
/// split the plan, they never shape it.
namespace prospect {

/// What tells two examples apart: equal numbers mean equal texts.
struct TextKey {
  int64_t prompt = 0, completion = 0;
};

/// A permutation of [0, count): the order of the examples in this epoch.
/// Source: Fisher and Yates, by counter-based random words (kernels/common/philox.h), drawn without bias as
/// in Lemire, "Fast random integer generation in an interval", arXiv 1805.10941.
std::vector<int64_t> epoch_order(uint64_t seed, int64_t epoch, int64_t count);

/// For each row of a global batch the row whose completion it takes for its KL pair: never itself, always
/// with another prompt and another completion; -1 where the batch has no such row. No completion is taken
/// twice while all rows can be served that way: a random permutation, its bad places repaired by augmenting
/// paths (a maximum matching); rows that no matching can serve then take any completion that suits them.
/// Takes time of order rows^2 at worst, rows as a rule.
std::vector<int64_t> draw_partners(uint64_t seed, int64_t epoch, int64_t step,
                                   std::span<const TextKey> batch);

/// One optimizer step.
struct StepPlan {
  int64_t step = 0, epoch = 0;
  std::vector<int64_t> examples;  ///< global indices, in order
  std::vector<int64_t> partners;  ///< for each of them the example that lends its completion, or -1
  /// Bounds of the loss groups: the rows [groups[g], groups[g + 1]) share a z0; the loss is the mean over
  /// groups of the mean over a group's rows. One group is the whole batch, as a rule.
  std::vector<int64_t> groups;
};

class BatchPlan {
 public:
  /// Shuffled anew each epoch, partners drawn anew each step, one loss group a step.
  /// Requires: at least one text, batch_rows > 0.
  BatchPlan(uint64_t seed, std::vector<TextKey> texts, int64_t batch_rows);

  /// TRL's regime: `count` examples in their own order, cut into blocks of block_rows, which are the loss
  /// groups; each takes the completion of the one before it, the first of a block that of its last (in a
  /// block of one row: its own). Requires: count > 0, batch_rows a positive multiple of block_rows.
  static BatchPlan in_blocks(int64_t count, int64_t batch_rows, int64_t block_rows);

  /// The last step of an epoch takes what is left.
  int64_t steps_per_epoch() const;
  /// Steps of so many epochs, a fraction of one rounded up.
  int64_t steps_in(double epochs) const;
  /// Steps count from 0 through all epochs; any order of calls gives the same plans.
  StepPlan step(int64_t step);

 private:
  StepPlan shuffled_step(StepPlan plan, int64_t first, int64_t last);
  StepPlan step_in_blocks(StepPlan plan, int64_t first, int64_t last) const;

  uint64_t seed_;
  std::vector<TextKey> texts_;
  int64_t batch_rows_;
  int64_t block_rows_ = 0;  ///< 0: shuffled
  int64_t ordered_epoch_ = -1;
  std::vector<int64_t> order_;  ///< of ordered_epoch_
};

/// The tokens that are in memory at a time, unless --micro-batch-tokens says otherwise.
inline constexpr int64_t kMicroBatchTokens = 512;

/// Indices into the lengths that were split.
using MicroBatch = std::vector<int64_t>;

/// Cuts sequences of the given lengths (tokens) into micro-batches of at most `budget` tokens for each rank:
/// a sequence longer than that has one of its own. Ranks get nearly equal sums of tokens (longest first to
/// the least loaded), then each rank packs its own (best fit). Every index comes exactly once; the result
/// depends on the arguments alone. [rank][micro-batch][index]
std::vector<std::vector<MicroBatch>> split_by_tokens(std::span<const int64_t> lengths, int64_t budget,
                                                     int64_t ranks = 1);

}  // namespace prospect
