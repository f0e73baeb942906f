#include "train/stop_request.h"

namespace prospect {

namespace {

// A signal handler reaches nothing but static storage.
volatile std::sig_atomic_t stop_requested = 0;

void request_stop(int) {
  stop_requested = 1;
}

void install(int signal, int flags, struct sigaction& before) {
  struct sigaction action {};
  action.sa_handler = request_stop;
  action.sa_flags = flags;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, &before);
}

}  // namespace

StopRequest::StopRequest() {
  stop_requested = 0;
  // Interrupted reads and writes go on; after one SIGINT the next does what it does by default.
  install(SIGINT, static_cast<int>(SA_RESTART | SA_RESETHAND), interrupt_before_);
  install(SIGTERM, SA_RESTART, terminate_before_);
  install(SIGUSR1, SA_RESTART, user_before_);
}

StopRequest::~StopRequest() {
  ::sigaction(SIGINT, &interrupt_before_, nullptr);
  ::sigaction(SIGTERM, &terminate_before_, nullptr);
  ::sigaction(SIGUSR1, &user_before_, nullptr);
}

bool StopRequest::made() const {
  return stop_requested != 0;
}

}  // namespace prospect
