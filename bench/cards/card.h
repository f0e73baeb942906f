#pragma once

#include "bench/cards/table.h"
#include "bench/cases.h"

namespace prospect::bench {

struct CardReport {
  Table table;                      ///< told apart by case and kernel; the row "all" sums a case
  std::vector<std::string> wasted;  ///< rules of memory-bound cases that are broken without an excuse
};

/// Runs samples of every case on the emulated device. `ptxas`: the table of registers. Throws Error with the
/// report where a kernel faults.
CardReport make_card(const std::vector<Case>& cases, const Table& ptxas);

}  // namespace prospect::bench
