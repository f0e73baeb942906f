#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include "tests/support/command.h"

namespace prospect::test {

/// Starts the program itself, both outputs into the file `log`: signals end processes, not tests.
inline pid_t start(std::vector<std::string> words, const std::string& log) {
  use_own_caches();
  words.insert(words.begin(), PROSPECT_BINARY);
  const pid_t child = ::fork();
  if (child != 0) return child;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  ::dup2(file, STDOUT_FILENO);
  ::dup2(file, STDERR_FILENO);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

/// Waits for the end of a process; -1 for one that a signal ended.
inline int exit_code_of(pid_t child) {
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

}  // namespace prospect::test
