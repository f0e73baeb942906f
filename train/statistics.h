#pragma once

#include <array>
#include <span>

#include "train/communicator.h"

namespace prospect {

/// Sums and counts of a step, over any number of rows, micro-batches and ranks: one message of fixed size,
/// the same whatever labels a rank saw. Everything reported is a ratio of two of them.
struct Statistics {
  enum Field {
    kLossSum,  ///< sum of the objective's values times their scale: adds up to the loss
    kTokens,   ///< prompt and completion tokens
    kCompletionTokens,
    kEntropySum,  ///< over completion tokens
    kKlSum,
    kKlSquares,
    kKlCount,  ///< log-ratios of mismatched pairs
    kCorrect,  ///< rows whose log-ratio lies on the side of z0 that their label asks for
    kChosenRows,
    kChosenRatio,
    kChosenLogp,
    kChosenLogit,
    kChosenTokens,
    kRejectedRows,
    kRejectedRatio,
    kRejectedLogp,
    kRejectedLogit,
    kRejectedTokens,
    kSaturated,  ///< rows with |beta (log-ratio - z0)| above kSaturation: their slope is below 7.1 % of
                 ///< its most
    kLost,       ///< desirable rows with beta (log-ratio - z0) below -kLoss: a slope of 0.02 % of its most
    kUnsound,    ///< rows with a number that is not finite
    kFields
  };
  static constexpr double kSaturation = 4, kLoss = 10;

  std::array<double, kFields> sums{};

  double& operator[](Field field) { return sums[field]; }
  double operator[](Field field) const { return sums[field]; }
  void add(const Statistics& other) {
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += other.sums[i];
  }
  void reduce(Communicator& communicator) { communicator.all_reduce_sum(sums); }

  /// Mean log-ratio of the mismatched pairs, before the clamp; 0 without pairs.
  double kl_raw() const;
  /// Standard error of kl_raw.
  double kl_standard_error() const;
  double rows() const { return sums[kChosenRows] + sums[kRejectedRows]; }
};

}  // namespace prospect
