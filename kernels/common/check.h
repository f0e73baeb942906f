#pragma once

// Host code only: nvcc cannot digest fmt.
#include <fmt/core.h>

#include "kernels/common/error.h"

namespace prospect {

/// Throws Error(code) with a formatted sentence.
template <class... Args>
[[noreturn]] void fail(ExitCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace prospect

/// CHECK(x > 0, "layernorm: weight must be [{}], got {}", ...): a broken promise between parts of the
/// program (exit code 70). Mistakes in what the user gave are reported with fail() and their own code.
#define CHECK(condition, ...)                                                   \
  do {                                                                          \
    if (!(condition)) ::prospect::fail(::prospect::ExitCode::Bug, __VA_ARGS__); \
  } while (false)
