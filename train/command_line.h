#pragma once

namespace prospect {

/// Parses the command line, runs the command and returns the exit code of the process. Errors become one line
/// on standard error.
int run_command_line(int argc, const char* const* argv);

}  // namespace prospect
