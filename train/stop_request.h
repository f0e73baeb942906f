#pragma once

#include <csignal>

namespace prospect {

/// While one lives, SIGINT, SIGTERM and SIGUSR1 do not end the process but ask for a stop at the next good
/// moment. A second SIGINT ends it at once. One at a time.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  /// Whether such a signal came.
  bool made() const;

 private:
  struct sigaction interrupt_before_ {
  }, terminate_before_{}, user_before_{};
};

}  // namespace prospect
