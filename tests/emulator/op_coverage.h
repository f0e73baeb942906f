#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "tests/emulator/op_table.h"

namespace prospect::emulator {

/// Which rows of a table of opcodes have run.
class OpCoverage {
 public:
  void note(const Op& row) { run_.insert(&row); }
  /// The others, as "spelling operands", in order.
  std::vector<std::string> missing(const OpTable& table) const;

  /// Of all kernels that a PtxHarness of this process has run.
  static OpCoverage& of_harness();

 private:
  std::unordered_set<const Op*> run_;
};

}  // namespace prospect::emulator
