#pragma once

#include <type_traits>

#include "kernels/common/bf16.h"

namespace prospect {

/// What a backward kernel does with one of its outputs. The engine chooses; a kernel obeys.
enum class GradMode {
  Ignore,      ///< leave the buffer alone (it may be null)
  Overwrite,   ///< buffer = gradient
  Accumulate,  ///< buffer += gradient
};

/// Puts `value` into `target` as `mode` says. Requires: mode is not Ignore.
template <class T>
inline void put(T& target, compute_t<T> value, GradMode mode) {
  store(target, mode == GradMode::Accumulate ? load(target) + value : value);
}

/// Calls body(mode) with the mode as a constant, so that no loop in it tests the mode for each element.
/// Requires: mode is not Ignore.
template <class Body>
inline void with_mode(GradMode mode, const Body& body) {
  if (mode == GradMode::Accumulate) {
    body(std::integral_constant<GradMode, GradMode::Accumulate>());
  } else {
    body(std::integral_constant<GradMode, GradMode::Overwrite>());
  }
}

}  // namespace prospect
