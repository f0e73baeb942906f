#pragma once

#include <memory>
#include <optional>

#include "train/batch_pass.h"
#include "train/checkpoint.h"
#include "train/corpus.h"
#include "train/metrics.h"
#include "train/optimizer.h"
#include "train/options.h"
#include "train/progress.h"
#include "train/schedule.h"

namespace prospect {

/// All that a run reads, checked before anything is written.
struct RunInputs {
  Corpus corpus;
  std::optional<Corpus> held_out;
  Model policy;
  std::optional<Model> reference;  ///< frozen; absent for the objective lm
};

/// Throws: Error(MissingInput), Error(BadData), Error(BadConfig).
RunInputs load_inputs(const TrainOptions& options, const Device& device);

/// The training loop and what it keeps from step to step.
class Trainer {
 public:
  /// Keeps a reference to the inputs. The run is read and written through `system`.
  Trainer(const TrainOptions& options, RunInputs& inputs, const FileSystem& system);

  /// Takes up the newest complete checkpoint in the run's folder.
  /// Throws: Error(MissingInput) if there is none, Error(BadConfig) if the data or the options that plan its
  /// steps are not those it was made with.
  void resume();

  /// Trains to the end and writes metrics.jsonl, checkpoints and model/.
  void run();

 private:
  /// One optimizer step; returns the gradient's norm. Throws: Error(NumericStop) if that is not finite.
  double update(double learning_rate);
  void write_metrics(double learning_rate, MetricsLog& log, MetricsClock& clock, Progress& progress);
  void evaluate(MetricsLog& log, Progress& progress);
  void save();
  std::vector<NamedTensor> state_tensors() const;
  double epoch() const;

  const TrainOptions options_;
  RunInputs& inputs_;
  const FileSystem system_;
  std::unique_ptr<Communicator> communicator_;
  Transformer policy_;
  std::optional<Transformer> reference_;
  BatchPlan plan_;
  const int64_t steps_;  ///< of the whole run
  Optimizer optimizer_;
  BatchPass pass_;

  int64_t done_ = 0;        ///< optimizer steps made
  double tokens_seen_ = 0;  ///< num_tokens of the metrics
  MetricsWindow window_;
};

}  // namespace prospect
