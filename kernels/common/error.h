#pragma once

#include <stdexcept>
#include <string>

namespace prospect {

/// What the process returns to its caller; the same table for every command.
enum class ExitCode : int {
  Ok = 0,
  Usage = 2,          ///< the command line is wrong
  BadData = 65,       ///< a data or model file is wrong
  MissingInput = 66,  ///< a file that was named does not exist
  Bug = 70,           ///< an internal promise was broken
  IoFailure = 74,     ///< reading or writing failed, or an output cannot be written
  Preempted = 75,     ///< stopped by a signal, after a checkpoint
  LostPeer = 76,      ///< another rank is gone
  BadConfig = 78,     ///< options contradict each other, or need more memory than there is
  NumericStop = 79,   ///< the run was stopped by a guard on its numbers
};

/// The one exception type: a sentence for the user and the exit code that goes with it.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

}  // namespace prospect
