#pragma once

#include <cstdint>

#include "kernels/common/grad_mode.h"
#include "kernels/common/stream.h"

/// Dropout whose mask is a function of what an element is, never of where it lies in a batch.
///   y[t, c] = kept(t, c) ? x[t, c] / (1 - probability) : 0
/// kept(t, c) compares word c mod 4 of Philox(counter, key) with the probability, where the counter is (c /
/// 4, positions[t], examples[t], site). Backward computes the mask again; it is never stored. Source:
/// Srivastava et al., "Dropout", JMLR 15, 2014, section 4 (here scaled while training). Cost, n elements: 2n
/// elements moved, n flops and n / 4 Philox calls of about 60 integer operations each; bound by those.
namespace prospect::kernels {

/// The mask, the same forward and backward.
struct DropoutMask {
  double probability;        ///< of zeroing, in [0, 1)
  uint64_t key;              ///< dropout_key()
  uint32_t site;             ///< which dropout of the model
  const int32_t* examples;   ///< [tokens]
  const int32_t* positions;  ///< [tokens]
};

/// One key per seed and step: both pass through a bijection that spreads every bit (the finaliser of
/// SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014),
/// so that seed 1 at step 2 is unrelated to seed 2 at step 1.
inline uint64_t dropout_key(uint64_t seed, int64_t step) {
  const auto mix = [](uint64_t z) {
    z += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  };
  return mix(mix(seed) + static_cast<uint64_t>(step));
}

/// An element is kept if its random word is at least this. Requires: probability in [0, 1).
inline uint32_t dropout_threshold(double probability) {
  return static_cast<uint32_t>(probability * 0x1p32);
}

template <class T>
struct DropoutForward {
  T* y;        ///< [tokens, columns]
  const T* x;  ///< [tokens, columns]
  DropoutMask mask;
  int64_t tokens, columns;
};

template <class T>
struct DropoutBackward {
  T* dx;  ///< [tokens, columns]
  GradMode dx_mode;
  const T* dy;  ///< [tokens, columns]
  DropoutMask mask;
  int64_t tokens, columns;
};

namespace cpu {
template <class T>
void dropout_forward(const DropoutForward<T>& args);
template <class T>
void dropout_backward(const DropoutBackward<T>& args);
}  // namespace cpu

/// On device memory, the mask's arrays too; float and bf16. The mask is the CPU's, bit for bit. Returns once
/// the work is queued on `stream`.
namespace cuda {
template <class T>
void dropout_forward(const DropoutForward<T>& args, Stream stream);
template <class T>
void dropout_backward(const DropoutBackward<T>& args, Stream stream);
}  // namespace cuda

}  // namespace prospect::kernels
