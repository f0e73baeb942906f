#pragma once

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/files.h"
#include "train/statistics.h"

namespace prospect {

/// Names and values in the order in which they are written.
using Metrics = std::vector<std::pair<std::string, double>>;

/// Doubles count no further.
inline constexpr double kMostCounted = 0x1p53;

/// What a loss group of a step reports (train/batch_plan.h).
struct GroupRecord {
  Statistics statistics;
  double z0 = 0;  ///< as the loss used it
};

struct StepRecord {
  std::vector<GroupRecord> groups;
  double grad_norm = 0;               ///< before clipping
  std::vector<int64_t> unsound = {};  ///< this rank's examples behind numbers that are not finite

  /// Over all groups.
  Statistics total() const;
  double loss() const { return total()[Statistics::kLossSum]; }
  /// All numbers of all ranks are finite.
  bool sound() const { return total()[Statistics::kUnsound] == 0; }
};

/// What rewards, log-probabilities, logits and entropy are means over.
enum class Averaging {
  Rows,    ///< all rows or tokens of the window
  Groups,  ///< the loss groups that have such rows, of their own means: as TRL reports them
};

/// The steps since the last line: loss and grad_norm are means over steps, kl over loss groups, the rest as
/// Averaging says. A metric without rows in the window is absent.
class MetricsWindow {
 public:
  explicit MetricsWindow(Averaging averaging = Averaging::Rows) : averaging_(averaging) {}
  void add(const StepRecord& step);
  void clear() { *this = MetricsWindow(averaging_); }
  bool empty() const { return steps_ == 0; }
  /// loss, kl, rewards/{chosen,rejected,margins,accuracies}, logps/*, logits/*, entropy, guards/saturated,
  /// guards/lost, kl/raw, kl/se, grad_norm; of an empty window nothing.
  Metrics metrics(double beta) const;
  double tokens() const;
  /// All numbers of the window, for a checkpoint between two lines; restore() takes them back. `source`
  /// names them in errors. Throws: Error(BadData) for numbers that state() cannot have given.
  std::vector<double> state() const;
  void restore(std::span<const double> state, const std::string& source = "window");

 private:
  Averaging averaging_;
  std::vector<Statistics> parts_;  ///< one for all rows, or one for each group
  int64_t steps_ = 0, groups_ = 0;
  double loss_ = 0, z0_ = 0, grad_norm_ = 0, kl_raw_ = 0, kl_standard_error_ = 0;  ///< sums
};

/// Time since the last question.
class MetricsClock {
 public:
  double per_second(double amount) {
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double> passed = now - last_;
    last_ = now;
    return amount / std::max(1e-9, passed.count());
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// RUN/metrics.jsonl: one JSON object a line, appended as the run goes.
class MetricsLog {
 public:
  /// Keeps the lines up to and including `step` (none for 0) and appends after them.
  /// Throws: Error(IoFailure).
  MetricsLog(const FileSystem& system, const std::filesystem::path& path, int64_t step);
  void write(const Metrics& metrics);
  /// The lines so far survive a power cut, as the checkpoint that counts on them does.
  void sync() { file_.sync(); }

 private:
  AppendedFile file_;
};

/// The value of a metric, or `otherwise`.
double find_metric(const Metrics& metrics, std::string_view name, double otherwise);
/// {"loss": 0.5, ...}; numbers that are not finite become null.
std::string to_json(const Metrics& metrics);

}  // namespace prospect
