#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "train/command_line.h"

namespace {

/// Starts the program again with threads that soon sleep at barriers. The OpenMP runtime lets them spin for
/// milliseconds otherwise, and one busy neighbour on the machine then makes a run several times slower; it
/// reads its settings before main begins. A setting of the user's own stands.
void restart_with_sleeping_threads(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  ::setenv("GOMP_SPINCOUNT", "1000", 1);
  ::execv("/proc/self/exe", argv);
  // Where that is not possible the run goes on as it is.
}

}  // namespace

int main(int argc, char** argv) {
  restart_with_sleeping_threads(argv);
  // A file larger than `ulimit -f` allows is then a failed write, with its message and exit code.
  std::signal(SIGXFSZ, SIG_IGN);
  return prospect::run_command_line(argc, argv);
}
