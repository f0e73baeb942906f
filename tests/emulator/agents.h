#pragma once

#include <functional>
#include <random>
#include <vector>

#include "tests/emulator/options.h"

namespace prospect::emulator {

/// What asynchronous engines have yet to do: copies happen at some time behind the instruction that asks for
/// them. In forward and reverse order as late as possible: a missing wait reads what was there before. In the
/// others a coin says for each launch whether at once (what is released too early is overwritten), late, or
/// at any time.
class Agents {
 public:
  void begin(const Options& options);
  void add(std::function<void()> work);
  bool empty() const { return waiting_.empty(); }
  /// Whether one wants to run though warps can run.
  bool wants_turn();
  /// Requires: not empty.
  void run_one();

 private:
  enum class Haste { AtOnce, Late, Any };
  Haste haste_ = Haste::Late;
  bool in_order_ = true;
  std::mt19937_64 random_;
  std::vector<std::function<void()>> waiting_;
};

}  // namespace prospect::emulator
