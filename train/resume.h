#pragma once

#include "train/checkpoint.h"
#include "train/run_inputs.h"
#include "train/run_state.h"

namespace prospect {

/// Where a run goes on.
struct ResumePoint {
  Checkpoint checkpoint;
  RunState state;
};

/// The newest complete checkpoint in the run's folder. Cleans up what an interrupted save left there.
/// Throws: Error(MissingInput) if there is none, Error(BadData) if its state is broken, Error(BadConfig) if
/// the data, the dtype or the options that plan its steps are not those it was made with.
ResumePoint point_to_resume(const TrainOptions& options, const Corpus& corpus, const FileSystem& system);

}  // namespace prospect
