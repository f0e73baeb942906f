#pragma once

#include <cstdint>

namespace prospect::fuzz {

/// The most bytes that operator new had given out at one time since this was made, beyond those at its
/// making. One at a time. Linking allocations.cpp replaces operator new and delete.
class PeakAllocation {
 public:
  PeakAllocation();
  int64_t bytes() const;

 private:
  int64_t before_;
};

}  // namespace prospect::fuzz
