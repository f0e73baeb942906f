#pragma once

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
  target = static_cast<T>(mode == GradMode::Accumulate ? load(target) + value : value);
}

}  // namespace prospect
