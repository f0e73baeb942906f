#pragma once

#include <string>
#include <vector>

#include "bench/cards/table.h"

namespace prospect::bench {

/// What ptxas makes of the kernels of this program, whose PTX is embedded: for sm_80 what is there for it,
/// for sm_90a the newest there is.
struct PtxasReport {
  Table table;                          ///< of each kernel and architecture, sorted
  std::vector<std::string> serialised;  ///< warnings that products of a warp group wait for each other
};

/// From what ptxas -v prints.
PtxasReport read_ptxas_report(const std::string& text, const std::string& architecture);

/// Throws Error where ptxas fails.
PtxasReport run_ptxas();

/// Rows of `table` that spill more than the row of `allowed` (kernel, architecture, bytes, reason) lets them.
std::vector<std::string> forbidden_spills(const Table& table, const Table& allowed);

/// "nvcc 13.0.88", which built this program and brought its ptxas.
std::string compiler_version();

}  // namespace prospect::bench
