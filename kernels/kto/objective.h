#pragma once

#include <cmath>
#include <cstdint>

/// constexpr, so that device code may call them too.
/// The objectives as one pure function of a sequence's log-ratio, shared by CPU and CUDA, by policy,
/// evaluation and scoring. r = sum over completion tokens of log pi(y|x) - log pi_ref(y|x), x = beta * (r -
/// z0).
///   kto          desirable lambda_D * sigma(-x), undesirable lambda_U * sigma(x)
///                Source: Ethayarajh et al., "KTO", arXiv 2402.01306, eq. 7-8; z0 carries no gradient.
///   kto-edifice  desirable -lambda_D * sigma(x), undesirable -lambda_U * sigma(-x): the same slope at fixed
///   z0.
///                z0 is the batch's own mean of r and does carry gradient: see couple_slopes.
///   kto-zero     kto with z0 = 0, whatever was given: desirable lambda_D * sigma(-beta r), undesirable
///                lambda_U * sigma(beta r). Without weights that is apo-zero-unpaired, 1 - sigma(beta r) and
///                sigma(beta r). Source: D'Oosterlinck et al., "Anchored Preference Optimization", arXiv
///                2408.06266, eq. 7, for rows without a pair.
///   lm           -r without a reference: the next-token loss summed over the sequence.
/// Written with sigma(-x), not 1 - sigma(x), so that saturated sequences keep their digits.
namespace prospect {

enum class ObjectiveKind : int32_t { Kto, KtoEdifice, KtoZero, Lm };

struct Objective {
  ObjectiveKind kind = ObjectiveKind::Kto;
  double beta = 0.1;
  double desirable_weight = 1;    ///< lambda_D
  double undesirable_weight = 1;  ///< lambda_U
  /// Sigma in float and its complement as 1 - sigma, as TRL has them: a row with |x| above 16.6 gets no
  /// gradient at all, where otherwise a little is left, which AdamW makes large in weights that only such
  /// rows touch.
  bool float_sigmoid = false;
};

struct ObjectiveTerm {
  double value;
  double slope;  ///< d(value) / d(log_ratio) at fixed z0
};

/// sigma(x) and sigma(-x).
struct Sigmoids {
  double toward, away;
};

/// 1 / (1 + exp(-x)) without overflow for any x.
constexpr double sigmoid(double x) {
  const double decay = std::exp(-std::fabs(x));
  return (x >= 0 ? 1.0 : decay) / (1.0 + decay);
}

/// In the operations of float in which torch takes them.
constexpr Sigmoids float_sigmoids(double x) {
  const float sigma = 1.0f / (1.0f + std::exp(-static_cast<float>(x)));
  return {static_cast<double>(sigma), static_cast<double>(1.0f - sigma)};
}

/// TRL takes sigma of +x for desirable rows, and for the others of -x; without z0 of +x for both.
constexpr Sigmoids sigmoids(const Objective& objective, double x, bool desirable) {
  if (!objective.float_sigmoid) return {sigmoid(x), sigmoid(-x)};
  if (desirable || objective.kind == ObjectiveKind::KtoZero) return float_sigmoids(x);
  const Sigmoids mirrored = float_sigmoids(-x);
  return {mirrored.away, mirrored.toward};
}

constexpr ObjectiveTerm objective_term(const Objective& objective, double log_ratio, bool desirable,
                                       double z0) {
  if (objective.kind == ObjectiveKind::Lm) return {-log_ratio, -1.0};
  const double x = objective.beta * (objective.kind == ObjectiveKind::KtoZero ? log_ratio : log_ratio - z0);
  const auto [toward, away] = sigmoids(objective, x, desirable);
  const double weight = desirable ? objective.desirable_weight : objective.undesirable_weight;
  const double slope = (desirable ? -weight : weight) * objective.beta * toward * away;
  if (objective.kind == ObjectiveKind::KtoEdifice) return {-weight * (desirable ? toward : away), slope};
  return {weight * (desirable ? away : toward), slope};
}

/// The slopes of kto-edifice, whose z0 is the mean of all `count` log-ratios of the batch: the gradient
/// through z0 takes the mean slope from each, so they sum to zero.
constexpr void couple_slopes(double* slopes, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += slopes[i];
  for (int64_t i = 0; i < count; ++i) slopes[i] -= sum / static_cast<double>(count);
}

}  // namespace prospect
