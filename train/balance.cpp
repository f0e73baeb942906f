#include "train/balance.h"

#include <fmt/core.h>

#include <algorithm>

namespace prospect {

LabelWeights balanced_weights(const Examples& examples) {
  const auto desirable = static_cast<double>(examples.desirable());
  const auto undesirable = static_cast<double>(examples.undesirable());
  if (desirable == 0 || undesirable == 0) return {};
  return {std::max(1.0, undesirable / desirable), std::max(1.0, desirable / undesirable)};
}

std::string balance_warning(const Examples& examples, const LabelWeights& weights) {
  const int64_t desirable = examples.desirable(), undesirable = examples.undesirable();
  if (desirable == 0 || undesirable == 0) {
    return fmt::format("all {} rows are {}: KTO can only push in one direction", desirable + undesirable,
                       desirable > 0 ? "desirable" : "undesirable");
  }
  const double gain = weights.desirable * static_cast<double>(desirable);
  const double loss = weights.undesirable * static_cast<double>(undesirable);
  // Weights such as 5/3 are rounded, and may be written with few digits.
  constexpr double kRounding = 1e-6;
  if (gain >= loss * (1 - kRounding) && gain <= 1.5 * loss * (1 + kRounding)) return "";
  const LabelWeights balanced = balanced_weights(examples);
  return fmt::format(
      "{} desirable rows of weight {:.4g} against {} undesirable of weight {:.4g}: the ratio {:.3g} is not "
      "in "
      "[1, 1.5]; --balance auto would choose weights {:.4g} and {:.4g}",
      desirable, weights.desirable, undesirable, weights.undesirable, gain / loss, balanced.desirable,
      balanced.undesirable);
}

}  // namespace prospect
