#pragma once

#include <optional>

#include "train/checkpoint.h"
#include "train/run_inputs.h"
#include "train/run_state.h"

namespace prospect {

/// Where a run goes on.
struct ResumePoint {
  Checkpoint checkpoint;
  RunState state;
};

/// The newest complete checkpoint in the run's folder; nothing for a run that was interrupted before its
/// first. Cleans up what an interrupted save left there. Throws: Error(MissingInput) if the run ended without
/// a checkpoint, Error(IoFailure) if none can be read, Error(BadData) if there are only broken ones or its
/// state is, Error(BadConfig) if the data, the dtype or the options that plan its steps are not those it was
/// made with.
std::optional<ResumePoint> point_to_resume(const TrainOptions& options, const Corpus& corpus,
                                           const FileSystem& system);

}  // namespace prospect
