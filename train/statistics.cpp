#include "train/statistics.h"

#include <algorithm>
#include <cmath>

namespace prospect {

double Statistics::kl_raw() const {
  return sums[kKlCount] > 0 ? sums[kKlSum] / sums[kKlCount] : 0;
}

double Statistics::kl_standard_error() const {
  const double count = sums[kKlCount];
  if (count < 2) return 0;
  const double mean = kl_raw();
  const double variance = std::max(0.0, (sums[kKlSquares] - count * mean * mean) / (count - 1));
  return std::sqrt(variance / count);
}

}  // namespace prospect
