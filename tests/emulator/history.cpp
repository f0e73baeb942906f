#include "tests/emulator/history.h"

#include <algorithm>

namespace prospect::emulator {
namespace {

using Times = std::shared_ptr<std::vector<uint32_t>>;

uint32_t at(const Times& times, uint32_t thread) {
  return times == nullptr || thread >= times->size() ? 0 : (*times)[thread];
}

bool covers(const Times& a, const Times& b) {
  if (a == b || b == nullptr) return true;
  if (a == nullptr) return false;
  const size_t common = std::min(a->size(), b->size());
  uint32_t is_behind = 0;
  for (size_t i = 0; i < common; ++i) is_behind |= static_cast<uint32_t>((*a)[i] < (*b)[i]);
  for (size_t i = common; i < b->size(); ++i) is_behind |= (*b)[i];
  return is_behind == 0;
}

void join(Times& a, const Times& b) {
  if (covers(a, b)) return;
  if (covers(b, a)) {
    a = b;
    return;
  }
  if (a.use_count() > 1) a = std::make_shared<std::vector<uint32_t>>(*a);
  a->resize(std::max(a->size(), b->size()));
  for (size_t i = 0; i < b->size(); ++i) (*a)[i] = std::max((*a)[i], (*b)[i]);
}

}  // namespace

const History::Part* History::find(uint32_t block) const {
  const auto found = std::lower_bound(parts_.begin(), parts_.end(), block,
                                      [](const Part& part, uint32_t number) { return part.block < number; });
  return found == parts_.end() || found->block != block ? nullptr : &*found;
}

History::Part& History::part(uint32_t block) {
  const auto found = std::lower_bound(parts_.begin(), parts_.end(), block,
                                      [](const Part& part, uint32_t number) { return part.block < number; });
  if (found != parts_.end() && found->block == block) return *found;
  return *parts_.insert(found, {block, nullptr, {}});
}

uint32_t History::of(uint32_t block, uint32_t thread) const {
  const Part* found = find(block);
  return found == nullptr ? 0 : at(found->times, thread);
}

uint32_t History::fenced(Memory memory, uint32_t block, uint32_t thread) const {
  const Part* found = find(block);
  return found == nullptr ? 0 : at(found->fenced[static_cast<size_t>(memory)], thread);
}

void History::set(uint32_t block, uint32_t thread, uint32_t time) {
  Times& times = part(block).times;
  if (times == nullptr) {
    times = std::make_shared<std::vector<uint32_t>>();
  } else if (times.use_count() > 1) {
    times = std::make_shared<std::vector<uint32_t>>(*times);
  }
  if (times->size() <= thread) times->resize(thread + 1);
  (*times)[thread] = time;
}

void History::join(const History& other) {
  for (const Part& theirs : other.parts_) {
    Part& own = part(theirs.block);
    emulator::join(own.times, theirs.times);
    for (size_t i = 0; i < own.fenced.size(); ++i) emulator::join(own.fenced[i], theirs.fenced[i]);
  }
}

bool History::covers(const History& other) const {
  return std::all_of(other.parts_.begin(), other.parts_.end(), [this](const Part& theirs) {
    const Part* own = find(theirs.block);
    return own != nullptr && emulator::covers(own->times, theirs.times) &&
           emulator::covers(own->fenced[0], theirs.fenced[0]) &&
           emulator::covers(own->fenced[1], theirs.fenced[1]);
  });
}

void History::fence(Memory memory) {
  for (Part& part : parts_) part.fenced[static_cast<size_t>(memory)] = part.times;
}

}  // namespace prospect::emulator
