#include "tests/emulator/op_coverage.h"

#include <algorithm>

namespace prospect::emulator {

std::vector<std::string> OpCoverage::missing(const OpTable& table) const {
  std::vector<std::string> names;
  table.for_each([&](const Op& row) {
    if (!run_.contains(&row)) names.push_back(row.spelling + " " + row.operands);
  });
  std::sort(names.begin(), names.end());
  return names;
}

OpCoverage& OpCoverage::of_harness() {
  static OpCoverage coverage;
  return coverage;
}

}  // namespace prospect::emulator
