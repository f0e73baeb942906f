// What orders the accesses of threads.
#include "tests/emulator/block.h"
#include "tests/emulator/checker.h"

namespace prospect::emulator {
namespace {

using Shared = std::shared_ptr<const History>;

/// a, with what is in b too: one of the two themselves where it covers the other.
Shared joined(const Shared& a, const Shared& b) {
  if (a == nullptr || a == b) return b;
  if (b == nullptr || a->covers(*b)) return a;
  if (b->covers(*a)) return b;
  auto both = std::make_shared<History>(*a);
  both->join(*b);
  return both;
}

Checker::Thread& thread_of(Warp& warp, int lane) {
  return warp.block->shadow->threads[static_cast<size_t>(warp.index * kLanes + lane)];
}

/// All that the thread has seen and done until now; what it does from now on is later.
std::shared_ptr<History> snapshot(Warp& warp, int lane) {
  Checker::Thread& thread = thread_of(warp, lane);
  auto history = std::make_shared<History>(*thread.past);
  history->set(warp.block->shadow->id, static_cast<uint32_t>(warp.index * kLanes + lane), thread.now++);
  return history;
}

}  // namespace

void Checker::release(Warp& warp, LaneMask lanes, History& history) {
  const History* joined_already = nullptr;  // threads that met share their past
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    Thread& thread = thread_of(warp, lane);
    if (thread.past.get() != joined_already) history.join(*thread.past);
    joined_already = thread.past.get();
    history.set(warp.block->shadow->id, static_cast<uint32_t>(warp.index * kLanes + lane), thread.now++);
  }
}

void Checker::acquire(Warp& warp, LaneMask lanes, const History& history) {
  const auto shared = std::make_shared<const History>(history);
  Shared before, after;
  for (; lanes != 0; lanes &= lanes - 1) {
    Thread& thread = thread_of(warp, std::countr_zero(lanes));
    if (thread.past != before || after == nullptr) {
      before = thread.past;
      after = joined(shared, thread.past);
    }
    thread.past = after;
  }
}

uint32_t Checker::add_engine(Block& block) {
  return static_cast<uint32_t>(block.shadow->threads.size()) + block.shadow->engines++;
}

Checker::Work Checker::begin_work(Warp& warp, const Instruction& instruction, int lane, Block& block,
                                  uint32_t engine, uint32_t time) {
  return {&warp, &instruction, lane, &block, engine, time, snapshot(warp, lane)};
}

void Checker::learn(Warp& warp, LaneMask lanes, const Block& block, uint32_t engine, uint32_t time) {
  History history;
  history.set(block.shadow->id, engine, time);
  acquire(warp, lanes, history);
}

void Checker::proxy_fence(Warp& warp, LaneMask lanes, Memory memory) {
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    const auto history = snapshot(warp, lane);
    history->fence(memory);
    thread_of(warp, lane).past = history;
  }
}

void Checker::fence(Warp& warp, LaneMask lanes) {
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    Thread& thread = thread_of(warp, lane);
    thread.past = joined(thread.past, thread.pending);
    thread.pending = nullptr;
    thread.released = snapshot(warp, lane);
  }
}

void Checker::order(Warp& warp, int lane, uint64_t key, Access access, const Ordering& ordering) {
  if (ordering.is_of_block) return;
  Thread& thread = thread_of(warp, lane);
  Shared& published = published_[key];
  if (reads(access)) {
    Shared& found = ordering.acquires ? thread.past : thread.pending;
    if (published != nullptr) found = joined(found, published);
  }
  if (!writes(access)) return;
  const Shared own = ordering.releases ? snapshot(warp, lane) : thread.released;
  // A read-modify-write passes on what it found: a release sequence goes on.
  published = reads(access) ? joined(published, own) : own;
}

}  // namespace prospect::emulator
