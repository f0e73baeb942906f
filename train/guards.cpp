#include "train/guards.h"

#include <algorithm>
#include <cmath>

#include "kernels/common/check.h"

namespace prospect {

namespace {

constexpr double kSaturatedShare = 0.5, kLostShare = 0.9, kHelplessShare = 0.01;
/// Lower than rewards fall at first in runs that end well (the quickstart's critic: -2.3). The loss of a
/// desirable row is then sigma(3), 95 % of its most.
constexpr double kFallenReward = -3;
constexpr double kTrendSteps = 10;
constexpr double kStillNats = 0.01;
/// In units of x, where a sigmoid goes from flat to flat between -4 and 4.
constexpr double kMostNoise = 1;

/// Most rows lie where the sigmoid is flat.
bool is_saturated(const StepSigns& signs) {
  return signs.saturated > kSaturatedShare * signs.rows;
}

}  // namespace

StepSigns StepSigns::of(const StepRecord& record, int64_t step) {
  using S = Statistics;
  const S sums = record.total();
  const auto groups = static_cast<double>(record.groups.size());
  StepSigns signs{.step = step,
                  .rows = sums.rows(),
                  .saturated = sums[S::kSaturated],
                  .chosen_rows = sums[S::kChosenRows],
                  .lost = sums[S::kLost],
                  .grad_norm = record.grad_norm,
                  .pairs = sums[S::kKlCount] / groups};
  if (sums[S::kChosenRows] > 0) signs.chosen = sums[S::kChosenRatio] / sums[S::kChosenRows];
  if (sums[S::kRejectedRows] > 0) signs.rejected = sums[S::kRejectedRatio] / sums[S::kRejectedRows];
  for (const GroupRecord& group : record.groups) {
    signs.z0 += group.z0 / groups;
    signs.z0_error += group.statistics.kl_standard_error() / groups;
  }
  return signs;
}

bool Guards::Alarm::update(bool sign) {
  present = sign ? present + 1 : 0;
  absent = sign ? 0 : absent + 1;
  if (absent >= kPatience) raised = 0;
  if (raised != 0 || present < kPatience) return false;
  raised = 1;
  return true;
}

void Guards::Trend::add(double value) {
  fast = steps == 0 ? value : fast + (value - fast) / 3;
  slow = steps == 0 ? value : slow + (value - slow) / kTrendSteps;
  ++steps;
}

bool Guards::is_falling() const {
  const auto fallen = [&](const Trend& trend) {
    return trend.steps >= kTrendSteps && trend.falls() && options_.beta * trend.fast < kFallenReward;
  };
  return fallen(chosen_) && fallen(rejected_);
}

bool Guards::is_still(int64_t step) const {
  return step > options_.warmup_steps + kStillSteps && farthest_ < kStillNats;
}

bool Guards::is_noisy(const StepSigns& signs) const {
  return options_.estimates_z0 && !is_saturated(signs) && options_.beta * signs.z0_error > kMostNoise &&
         signs.z0_error > signs.z0 / 2;
}

double Guards::chosen_x(const StepSigns& signs) const {
  return options_.beta * (*signs.chosen - signs.z0);
}

void Guards::watch_collapse(const StepSigns& signs) {
  if (!signs.chosen) return;
  if (started_ == 0) {
    started_ = 1;
    start_x_ = chosen_x(signs);
    start_norm_ = signs.grad_norm;
  }
  const bool lost = signs.lost >= kLostShare * signs.chosen_rows;
  const bool fell = chosen_x(signs) < start_x_ - Statistics::kLoss;
  const bool helpless = signs.grad_norm < kHelplessShare * start_norm_;
  collapsed_steps_ = lost && fell && helpless ? collapsed_steps_ + 1 : 0;
}

std::vector<std::string> Guards::observe(const StepSigns& signs) {
  if (signs.chosen) chosen_.add(*signs.chosen);
  if (signs.rejected) rejected_.add(*signs.rejected);
  for (const auto& ratio : {signs.chosen, signs.rejected}) {
    if (ratio) farthest_ = std::max(farthest_, std::fabs(*ratio));
  }
  watch_collapse(signs);
  std::array<bool, kKinds> present{};
  present[kSaturated] = is_saturated(signs);
  present[kFalling] = is_falling();
  present[kStill] = is_still(signs.step);
  present[kNoisyZ0] = is_noisy(signs);
  present[kCollapsed] = !collapse(signs).empty();
  std::vector<std::string> warnings;
  for (int kind = 0; kind < kKinds; ++kind) {
    if (kind == kCollapsed && !signs.chosen) continue;  // such a step says nothing of desirable rows
    if (alarms_[kind].update(present[kind])) warnings.push_back(text(static_cast<Kind>(kind), signs));
  }
  return warnings;
}

std::string Guards::text(Kind kind, const StepSigns& signs) const {
  const double beta = options_.beta, rate = options_.learning_rate;
  const std::string at = fmt::format("step {}: ", signs.step);
  switch (kind) {
    case kSaturated:
      return at + fmt::format(
                      "{:.0f} % of the rows are saturated (|beta (r - z0)| > {}) and teach next to nothing; "
                      "lower --learning-rate (now {:.3g}) or --beta ({:.3g}), or stop earlier",
                      100 * signs.saturated / signs.rows, Statistics::kSaturation, rate, beta);
    case kFalling:
      return at + fmt::format(
                      "desirable and undesirable rows grow less likely together (rewards {:.2f} and {:.2f}); "
                      "lower --learning-rate (now {:.3g}) or raise --beta ({:.3g})",
                      beta * chosen_.fast, beta * rejected_.fast, rate, beta);
    case kStill:
      return at + fmt::format(
                      "no mean log-ratio has come further than {:.2g} nats: the model does not move; raise "
                      "--learning-rate (now {:.3g})",
                      farthest_, rate);
    case kCollapsed:
      return at + collapse(signs);
    case kNoisyZ0:
    case kKinds:
      break;
  }
  const double wanted = std::max(signs.z0 / 2, kMostNoise / beta);
  const double factor = std::ceil(std::pow(signs.z0_error / wanted, 2));
  return at +
         fmt::format(
             "z0 is {:.3g} nats with a standard error of {:.3g}, from {:.0f} pairs; a global batch of {:.0f} "
             "times the rows would do ({})",
             signs.z0, signs.z0_error, signs.pairs, std::max(2.0, factor), options_.rows_option);
}

std::string Guards::collapse(const StepSigns& signs) const {
  if (!signs.chosen || collapsed_steps_ < kCollapsePatience) return "";
  return fmt::format(
      "the model has collapsed: for {:.0f} steps {:.0f} % of the desirable rows have been so improbable "
      "(reward {:.3g}, z0 {:.3g} nats) that the gradient is gone (norm {:.2g}, {:.2g} at the start); start "
      "again with a lower --learning-rate (now {:.3g})",
      collapsed_steps_, 100 * signs.lost / signs.chosen_rows, options_.beta * *signs.chosen, signs.z0,
      signs.grad_norm, start_norm_, options_.learning_rate);
}

template <class Self, class Visit>
void Guards::visit_state(Self& self, const Visit& visit) {
  for (auto& alarm : self.alarms_) {
    visit(alarm.present);
    visit(alarm.absent);
    visit(alarm.raised);
  }
  for (auto* trend : {&self.chosen_, &self.rejected_}) {
    visit(trend->steps);
    visit(trend->fast);
    visit(trend->slow);
  }
  visit(self.farthest_);
  visit(self.started_);
  visit(self.start_x_);
  visit(self.start_norm_);
  visit(self.collapsed_steps_);
}

std::vector<double> Guards::state() const {
  std::vector<double> numbers;
  visit_state(*this, [&](double number) { numbers.push_back(number); });
  return numbers;
}

void Guards::restore(std::span<const double> state, const std::string& source) {
  const size_t expected = this->state().size();
  if (state.size() != expected) {
    fail(ExitCode::BadData, "{}: has {} numbers, expected {}", source, state.size(), expected);
  }
  size_t next = 0;
  visit_state(*this, [&](double& number) { number = state[next++]; });
}

}  // namespace prospect
