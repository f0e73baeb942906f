#pragma once

#include <gtest/gtest.h>

#include <string>

#include "kernels/common/error.h"

namespace prospect::test {

/// Passes when `body` throws Error(code) with one line of text that contains `words`.
template <class Body>
testing::AssertionResult fails(ExitCode code, const std::string& words, const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    const std::string text = error.what();
    if (error.code() == code && text.find(words) != std::string::npos &&
        text.find('\n') == std::string::npos) {
      return testing::AssertionSuccess();
    }
    return testing::AssertionFailure()
           << "exit code " << static_cast<int>(error.code()) << ", \"" << text << "\"; expected "
           << static_cast<int>(code) << " with \"" << words << "\"";
  }
  return testing::AssertionFailure() << "no error; expected one with \"" << words << "\"";
}

}  // namespace prospect::test
