#pragma once

#include <array>
#include <cstdint>

namespace prospect {

/// Philox4x32-10: four random words that depend on a 128-bit counter and a 64-bit key only.
/// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3.
constexpr std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, uint64_t key) {
  constexpr uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
  uint32_t key0 = static_cast<uint32_t>(key), key1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    // Low halves are products of their own, or nvcc computes the rounds in 64 bits throughout.
    const uint32_t low0 = kMultiplier0 * counter[0], low1 = kMultiplier1 * counter[2];
    const auto high0 = static_cast<uint32_t>((uint64_t{kMultiplier0} * counter[0]) >> 32);
    const auto high1 = static_cast<uint32_t>((uint64_t{kMultiplier1} * counter[2]) >> 32);
    counter = {high1 ^ counter[1] ^ key0, low1, high0 ^ counter[3] ^ key1, low0};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

/// A number in [0, 1) from the upper 24 bits of a random word; exact in float.
constexpr float unit_interval(uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1.0p-24f;
}

}  // namespace prospect
