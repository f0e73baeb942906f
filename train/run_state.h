#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "train/options.h"

namespace prospect {

/// What a checkpoint knows of its run besides tensors: the JSON of its state.json.
struct RunState {
  int64_t step = 0;            ///< steps made, skipped ones too
  int64_t skipped = 0;         ///< of them, without an update
  double tokens_seen = 0;      ///< num_tokens of the metrics
  std::vector<double> window;  ///< MetricsWindow::state()
  std::vector<double> guards;  ///< state of the guards
  uint64_t data_digest = 0;    ///< Corpus::digest of the rows
  TrainOptions options;        ///< that the run went by
};

/// Throws: Error(BadConfig) if the metrics since their last line are too many for parse_run_state().
std::string to_text(const RunState& state);

/// Reads what to_text() wrote; `path` names the file in errors. Fields that are missing, unknown or out of
/// their range are refused. Throws: Error(BadData) `path field: reason`.
RunState parse_run_state(std::string_view text, const std::string& path);

}  // namespace prospect
