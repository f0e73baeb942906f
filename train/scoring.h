#pragma once

#include <span>
#include <vector>

#include "model/transformer.h"
#include "train/packed_batch.h"

namespace prospect {

struct ScoredSequences {
  std::vector<Tensor> log_probabilities;  ///< of each sequence's completion tokens, f32 (f64 for f64)
  std::vector<double> log_ratios;         ///< summed over tokens: minus the reference's where one was given
};

/// The log-probability of every completion token under a model, without gradients, by micro-batches of at
/// most `micro_batch_tokens`: the one forward behind reference, KL pairs, evaluation and `prospect score`.
/// On the CPU their bits depend on the sequence alone, not on the others, the budget or the threads.
/// `reference`, if not empty, holds the reference's log-probabilities of each sequence.
ScoredSequences score_sequences(const Transformer& transformer, std::span<const Sequence> sequences,
                                int64_t micro_batch_tokens, std::span<const Tensor> reference = {});

/// One tensor after another, along the first dimension. Requires: same dtype, not empty.
Tensor concatenate(std::span<const Tensor> tensors);

/// The area under the ROC curve: how often a row labelled true has a larger score than one labelled false,
/// ties counting half. 0.5 where a label is missing.
double area_under_curve(std::span<const double> scores, const std::vector<bool>& labels);

}  // namespace prospect
