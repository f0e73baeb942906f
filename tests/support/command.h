#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "train/command_line.h"

namespace prospect::test {

struct CommandResult {
  int code;
  std::string out, err;
};

/// Runs `prospect WORDS...` in this process.
inline CommandResult prospect(std::vector<std::string> words) {
  words.insert(words.begin(), "prospect");
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = run_command_line(static_cast<int>(argv.size()), argv.data());
  return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

}  // namespace prospect::test
