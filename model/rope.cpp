#include "model/rope.h"

#include <cmath>
#include <numbers>

namespace prospect {

namespace {

/// The part of 1 that a frequency keeps: 1 below the short wavelengths, 1 / factor above the long ones.
double kept_share(double frequency, const Llama3Rope& rope) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double turns = static_cast<double>(rope.original_positions) / wavelength;
  if (turns < rope.low_frequency_factor) return 1 / rope.factor;
  if (turns > rope.high_frequency_factor) return 1;
  const double smooth =
      (turns - rope.low_frequency_factor) / (rope.high_frequency_factor - rope.low_frequency_factor);
  return (1 - smooth) / rope.factor + smooth;
}

}  // namespace

std::vector<double> rope_frequencies(const ModelConfig& config) {
  std::vector<double> frequencies;
  for (int64_t i = 0; i < config.head_dim / 2; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim);
    const double frequency = std::pow(config.rope_theta, exponent);
    frequencies.push_back(config.llama3_rope ? frequency * kept_share(frequency, *config.llama3_rope)
                                             : frequency);
  }
  return frequencies;
}

}  // namespace prospect
