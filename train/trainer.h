#pragma once

#include <memory>
#include <optional>

#include "train/batch_pass.h"
#include "train/guards.h"
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

  /// Trains to the end and writes metrics.jsonl, checkpoints and model/. A step whose loss or gradient is not
  /// finite changes nothing; its rows go to skipped/. Throws: Error(NumericStop), after a checkpoint, when
  /// there are more such steps than the options allow, or the model has collapsed (train/guards.h).
  void run();

 private:
  /// The next step. Returns why the run must stop after it, or nothing.
  std::string step(const StepPlan& plan, double learning_rate, Progress& progress);
  /// What a step with these examples leaves behind when it is skipped because `what` is not finite. Returns
  /// why the run must stop, or nothing.
  std::string skip(const char* what, std::span<const int64_t> examples, Progress& progress);
  std::string watch(const StepRecord& record, Progress& progress);
  void write_metrics(double learning_rate, MetricsLog& log, MetricsClock& clock, Progress& progress);
  void evaluate(MetricsLog& log, Progress& progress);
  /// Keeps `spared` more checkpoints than usual.
  void save(MetricsLog& log, int64_t spared);
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

  int64_t done_ = 0;        ///< steps made, skipped ones too
  int64_t skipped_ = 0;     ///< of them, without an update
  double tokens_seen_ = 0;  ///< num_tokens of the metrics
  MetricsWindow window_;
  Guards guards_;
};

}  // namespace prospect
