#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/emulator/golden/kernels.h"
#include "tests/emulator/golden/vectors.h"

namespace prospect::emulator::golden {

/// One instruction, or a few that make no sense alone, on one input.
struct Case {
  std::string name;
  int capability;  ///< 80: of the oldest device that runs it; 90: of the only ones
  Words input;
  Tolerance tolerance;
  /// Runs it on the device of this process, or the emulated one. Throws: Error(Bug) with CUDA's reason.
  std::function<Words(const Words& input)> run;
};

/// All, each with the same input at each call.
std::vector<Case> cases();

/// What two outputs of a case differ in, at most the first few words; empty when they agree.
std::string difference(const Words& recorded, const Words& found, const Tolerance& tolerance);

/// Runs each case that a device of `capability` can, and writes FOLDER/NAME.golden. Returns how many.
int record(const std::filesystem::path& folder, const std::string& device, int capability);

struct Comparison {
  std::vector<std::string> missing;  ///< cases without a file
  std::vector<std::string> wrong;    ///< "NAME: reason", also of files without a case
  int agree = 0;
};
/// Holds what this process computes of the recorded inputs against the recorded outputs.
Comparison compare_with(const std::filesystem::path& folder);

}  // namespace prospect::emulator::golden
