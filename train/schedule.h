#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

#include "kernels/common/check.h"

namespace prospect {

/// The course of the learning rate after its warm-up.
enum class ScheduleKind { Linear, Cosine, Constant };

/// Throws: Error(BadConfig) for another name than linear, cosine or constant.
inline ScheduleKind schedule_kind(std::string_view name) {
  if (name == "linear") return ScheduleKind::Linear;
  if (name == "cosine") return ScheduleKind::Cosine;
  if (name == "constant") return ScheduleKind::Constant;
  fail(ExitCode::BadConfig, "lr_scheduler_type: must be linear, cosine or constant, got {}", name);
}

struct Schedule {
  ScheduleKind kind = ScheduleKind::Linear;
  double peak = 0;           ///< learning rate at the end of the warm-up
  int64_t warmup_steps = 0;  ///< rises from 0, which the first of them has
  int64_t total_steps = 0;   ///< linear and cosine end at 0 here

  /// The learning rate of a step, counted from 0. Source: the transformers library's
  /// get_{linear,cosine,constant}_schedule_with_warmup, in the order of its operations.
  double learning_rate(int64_t step) const { return peak * factor(step); }

 private:
  double factor(int64_t step) const {
    const auto real = [](int64_t value) { return static_cast<double>(value); };
    if (step < warmup_steps) return real(step) / real(std::max<int64_t>(1, warmup_steps));
    const double decay_steps = real(std::max<int64_t>(1, total_steps - warmup_steps));
    switch (kind) {
      case ScheduleKind::Linear:
        return std::max(0.0, real(total_steps - step) / decay_steps);
      case ScheduleKind::Cosine:
        return std::max(0.0,
                        0.5 * (1.0 + std::cos(std::numbers::pi * (real(step - warmup_steps) / decay_steps))));
      case ScheduleKind::Constant:
        break;
    }
    return 1;
  }
};

}  // namespace prospect
