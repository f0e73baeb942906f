#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "train/metrics.h"

namespace prospect {

/// What one step says of a run's health: counts of rows, and means in nats. x = beta * (log-ratio - z0).
struct StepSigns {
  int64_t step = 0;                     ///< from 1
  double rows = 0, saturated = 0;       ///< rows; those with |x| above Statistics::kSaturation
  double chosen_rows = 0, lost = 0;     ///< desirable rows; those with x below -Statistics::kLoss
  std::optional<double> chosen = {};    ///< mean log-ratio of the desirable rows; none: no such row
  std::optional<double> rejected = {};  ///< of the undesirable rows
  double grad_norm = 0;                 ///< before clipping
  double z0 = 0, z0_error = 0;          ///< means over loss groups: as the loss used it; its standard error
  double pairs = 0;                     ///< mismatched pairs behind a group's z0

  static StepSigns of(const StepRecord& record, int64_t step);
};

/// Watches a run, step by step, for signs that its options do not suit it. A warning needs its sign in
/// kPatience steps on end, comes once, and may come again after the sign was away for as long. Pure: no
/// clock, no files; two that were fed the same steps are in the same state.
class Guards {
 public:
  struct Options {
    double beta = 0.1, learning_rate = 0;
    int64_t warmup_steps = 0;
    bool estimates_z0 = true;  ///< by mismatched pairs: the objective kto
    /// The option that gives z0 more rows.
    const char* rows_option = "--gradient-accumulation-steps";
  };
  static constexpr int64_t kPatience = 5;
  static constexpr int64_t kCollapsePatience = 10;
  static constexpr int64_t kStillSteps = 50;  ///< after the warm-up

  explicit Guards(const Options& options) : options_(options) {}

  /// Takes in the next step. Returns the warnings that begin with it: what was seen, in numbers, and which
  /// option to change.
  std::vector<std::string> observe(const StepSigns& signs);

  /// Why to stop after the step that observe() was told of last; empty where there is no reason. The reason
  /// is that for kCollapsePatience steps nine in ten desirable rows have been lost, and what is left of the
  /// gradient is below a hundredth of the first step's: AdamW brings rows back from far away as long as there
  /// is one. Steps without desirable rows do not count, nor do rows that were as far away when the run began.
  std::string collapse(const StepSigns& signs) const;

  /// All numbers that observe() goes by, for a checkpoint; restore() takes them back. `source` names them in
  /// errors. Throws: Error(BadData) for another count of numbers.
  std::vector<double> state() const;
  void restore(std::span<const double> state, const std::string& source = "guards");

 private:
  enum Kind { kSaturated, kFalling, kStill, kNoisyZ0, kCollapsed, kKinds };

  /// A sign that comes and goes.
  struct Alarm {
    double present = 0, absent = 0;  ///< steps on end
    double raised = 0;               ///< 1 from the warning until the sign was away
    /// True when a warning is due.
    bool update(bool sign);
  };
  /// A reward over the last steps, smoothed over a few of them and over more.
  struct Trend {
    double steps = 0, fast = 0, slow = 0;
    void add(double value);
    bool falls() const { return fast < slow; }
  };

  bool is_falling() const;
  bool is_still(int64_t step) const;
  bool is_noisy(const StepSigns& signs) const;
  void watch_collapse(const StepSigns& signs);
  double chosen_x(const StepSigns& signs) const;
  std::string text(Kind kind, const StepSigns& signs) const;
  /// Calls visit(number) for each number of the state, in order.
  template <class Self, class Visit>
  static void visit_state(Self& self, const Visit& visit);

  Options options_;
  std::array<Alarm, kKinds> alarms_;
  Trend chosen_, rejected_;
  double farthest_ = 0;                  ///< largest mean log-ratio so far, by size
  double started_ = 0;                   ///< 1 once a step with desirable rows was seen
  double start_x_ = 0, start_norm_ = 0;  ///< their mean x and the norm of the gradient in the first such step
  double collapsed_steps_ = 0;           ///< on end
};

}  // namespace prospect
