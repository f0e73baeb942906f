#pragma once

#include <stdexcept>
#include <string>

namespace prospect::emulator {

/// The kernel did what no kernel may. The runtime turns it into a sticky error.
struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The PTX holds what the emulator does not know.
struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace prospect::emulator
