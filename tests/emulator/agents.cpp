#include "tests/emulator/agents.h"

#include <cstddef>
#include <utility>

namespace prospect::emulator {

void Agents::begin(const Options& options) {
  waiting_.clear();
  random_.seed(options.seed ^ 0xa9e27);
  in_order_ = options.order == Order::Forward || options.order == Order::Reverse;
  haste_ = in_order_ ? Haste::Late : static_cast<Haste>(random_() % 3);
}

void Agents::add(std::function<void()> work) {
  if (haste_ == Haste::AtOnce) return work();
  waiting_.push_back(std::move(work));
}

bool Agents::wants_turn() {
  return haste_ == Haste::Any && !waiting_.empty() && random_() % 4 == 0;
}

void Agents::run_one() {
  const size_t chosen = in_order_ ? 0 : random_() % waiting_.size();
  const std::function<void()> work = std::move(waiting_[chosen]);
  waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(chosen));
  work();
}

}  // namespace prospect::emulator
