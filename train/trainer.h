#pragma once

#include <memory>
#include <optional>

#include "train/batch_pass.h"
#include "train/metrics.h"
#include "train/optimizer.h"
#include "train/progress.h"
#include "train/reference.h"
#include "train/resume.h"
#include "train/schedule.h"

namespace prospect {

/// The training loop and what it keeps from step to step.
class Trainer {
 public:
  /// Keeps references to the inputs and to the reference, which is null for the objective lm. The run is read
  /// and written through `system`.
  Trainer(const TrainOptions& options, RunInputs& inputs, const Reference* reference,
          const FileSystem& system);

  /// Goes on from a checkpoint of this run. Throws: Error(BadData) if it holds other tensors or metrics.
  void resume(const ResumePoint& point);

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
  BatchPlan plan_;
  const int64_t steps_;  ///< of the whole run
  Optimizer optimizer_;
  BatchPass pass_;

  int64_t done_ = 0;        ///< optimizer steps made
  double tokens_seen_ = 0;  ///< num_tokens of the metrics
  MetricsWindow window_;
};

}  // namespace prospect
