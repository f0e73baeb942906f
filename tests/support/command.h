#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.h"
#include "train/command_line.h"

namespace prospect::test {

struct CommandResult {
  int code;
  std::string out, err;
};

/// Commands of this process keep their caches in a folder of its own, not in the user's.
inline void use_own_caches() {
  static const TemporaryFolder folder;
  ::setenv("XDG_CACHE_HOME", folder.path().c_str(), 1);
}

/// Runs `prospect WORDS...` in this process.
inline CommandResult prospect(std::vector<std::string> words) {
  use_own_caches();
  words.insert(words.begin(), "prospect");
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = run_command_line(static_cast<int>(argv.size()), argv.data());
  return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

}  // namespace prospect::test
