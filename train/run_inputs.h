#pragma once

#include <optional>

#include "kernels/kto/objective.h"
#include "model/model.h"
#include "train/batch_plan.h"
#include "train/corpus.h"
#include "train/options.h"

namespace prospect {

/// All that a run reads, checked before anything is written.
struct RunInputs {
  Corpus corpus;
  std::optional<Corpus> held_out;
  Model policy;  ///< with the weights that it starts from
};

/// Throws: Error(MissingInput), Error(BadData), Error(BadConfig).
RunInputs load_inputs(const TrainOptions& options, const Device& device);

ObjectiveKind objective_kind(const TrainOptions& options);

/// The plan over all rows of a corpus, to train on or to evaluate.
BatchPlan plan_of(const TrainOptions& options, const Corpus& corpus);

/// Optimizer steps of the whole run.
int64_t planned_steps(const TrainOptions& options, const BatchPlan& plan);

}  // namespace prospect
