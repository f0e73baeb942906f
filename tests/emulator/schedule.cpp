#include "tests/emulator/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <random>

#include "tests/emulator/fault.h"
#include "tests/emulator/grid_order.h"
#include "tests/emulator/step.h"

namespace prospect::emulator {
namespace {

constexpr uint32_t kNever = std::numeric_limits<uint32_t>::max();
/// The steps of the longest turn. A warp that uses its turn up may be spinning: others get theirs.
constexpr uint64_t kLongTurn = 1 << 14;

/// Runs blocks that are resident together.
class Scheduler {
 public:
  Scheduler(Launch& launch, size_t blocks) : launch_(launch), random_(launch.options.seed) {
    const size_t in_cluster = launch.cluster.count();
    clusters_.resize(blocks / in_cluster);
    for (size_t i = 0; i < blocks; ++i) {
      blocks_.push_back(std::make_unique<Block>(launch));
      Cluster& cluster = clusters_[i / in_cluster];
      blocks_[i]->cluster = &cluster;
      blocks_[i]->rank = static_cast<uint32_t>(i % in_cluster);
      cluster.blocks.push_back(blocks_[i].get());
    }
  }

  /// blocks: their numbers, whole clusters one after another; at most as many as the constructor was told.
  void run(const uint64_t* blocks, size_t count) {
    warps_.clear();
    for (Cluster& cluster : clusters_) cluster = {std::move(cluster.blocks)};
    for (size_t i = 0; i < count; ++i) {
      blocks_[i]->start(blocks[i]);
      for (Warp& warp : blocks_[i]->warps) {
        warp.priority = priority();
        warps_.push_back(&warp);
      }
    }
    first_ = 0;
    while (go_on()) {
    }
    for (size_t i = 0; i < count; ++i) launch_.traffic.add(blocks_[i]->footprint);
    launch_.blocks_run += count;
  }

 private:
  uint32_t priority() { return 1 + static_cast<uint32_t>(random_() % 1000); }

  /// Lets a warp or an engine have its turn. Returns false when all is done.
  bool go_on() {
    if (launch_.agents.wants_turn()) launch_.agents.run_one();
    if (Warp* warp = pick()) {
      turn(*warp);
    } else if (!launch_.agents.empty()) {
      launch_.agents.run_one();
    } else if (std::all_of(warps_.begin(), warps_.end(), [](const Warp* w) { return w->live() == 0; })) {
      return false;
    } else if (!expire()) {
      deadlock();
    }
    return true;
  }

  /// mbarrier.try_wait waits for some time only. Lets those that wait go on without success, as long as
  /// anything comes of it. Returns false otherwise.
  bool expire() {
    constexpr int kMostInVain = 8;
    expired_in_vain_ = launch_.progress == progress_ ? expired_in_vain_ + 1 : 0;
    progress_ = launch_.progress;
    if (expired_in_vain_ > kMostInVain) return false;
    bool any = false;
    for (const auto& block : blocks_) {
      for (auto& [offset, barrier] : block->mbarriers) any = barrier.expire() || any;
    }
    return any;
  }

  /// The warp whose turn it is; null when none can run.
  Warp* pick() {
    Warp* best = nullptr;
    const size_t count = warps_.size();
    const bool is_random = launch_.options.order == Order::Random;
    const size_t begin = is_random ? random_() % count : first_;
    for (size_t i = 0; i < count; ++i) {
      const size_t at = (begin + i) % count;
      Warp* warp = warps_[launch_.options.order == Order::Reverse ? count - 1 - at : at];
      if (warp->ready == 0) continue;
      if (best != nullptr && warp->priority <= best->priority) continue;
      best = warp, picked_ = at;
      if (launch_.options.order != Order::Priority) break;
    }
    return best;
  }

  void turn(Warp& warp) {
    const Order order = launch_.options.order;
    const uint64_t before = launch_.warp_steps;
    const uint64_t budget = order == Order::Random     ? 1 + random_() % 32
                            : order == Order::Priority ? 1 + random_() % kLongTurn
                                                       : kLongTurn;
    uint32_t meet = kNever;
    const LaneMask group =
        order == Order::Random || warp.is_spinning ? any_group(warp) : first_group(warp, meet);
    step(warp, group, meet, budget);
    const bool polls = warp.poll.times >= Warp::kVainPolls;
    if (polls) warp.poll.times = 0;
    if (polls && !launch_.agents.empty()) launch_.agents.run_one();
    warp.is_spinning = polls || launch_.warp_steps - before >= budget;
    if (warp.is_spinning && order != Order::Random) {
      first_ = (picked_ + 1) % warps_.size();  // and no way back before the others have had their turn
      warp.priority = 0;
    } else if (random_() % 64 == 0) {
      warp.priority = priority();
    }
    if (launch_.warp_steps > launch_.options.step_limit) {
      const auto lane = static_cast<size_t>(std::countr_zero(warp.live() | 1u << 31));
      const Instruction& at =
          launch_.program.code[std::min<size_t>(warp.pc[lane], launch_.program.code.size() - 1)];
      warp.fault(at, static_cast<int>(lane), fmt::format("livelock? {} steps", launch_.warp_steps));
    }
  }

  /// The ready lanes that are least far: the rest waits for them at `meet`, where they join again.
  static LaneMask first_group(const Warp& warp, uint32_t& meet) {
    uint32_t lowest = kNever;
    for (LaneMask left = warp.ready; left != 0; left &= left - 1) {
      lowest = std::min(lowest, warp.pc[static_cast<size_t>(std::countr_zero(left))]);
    }
    LaneMask group = 0;
    for (LaneMask left = warp.ready; left != 0; left &= left - 1) {
      const auto lane = static_cast<size_t>(std::countr_zero(left));
      if (warp.pc[lane] == lowest) {
        group |= 1u << lane;
      } else {
        meet = std::min(meet, warp.pc[lane]);
      }
    }
    return group;
  }

  /// Lanes that stand where a random one stands: all of them, or in random order perhaps some.
  LaneMask any_group(const Warp& warp) {
    LaneMask left = warp.ready;
    for (uint64_t skip = random_() % static_cast<uint64_t>(std::popcount(left)); skip > 0; --skip)
      left &= left - 1;
    const auto chosen = static_cast<size_t>(std::countr_zero(left));
    const bool all = launch_.options.order != Order::Random || random_() % 2 == 0;
    const LaneMask some = all ? kAllLanes : static_cast<LaneMask>(random_());
    LaneMask group = 1u << chosen;
    for (LaneMask rest = warp.ready & some; rest != 0; rest &= rest - 1) {
      const auto lane = static_cast<size_t>(std::countr_zero(rest));
      if (warp.pc[lane] == warp.pc[chosen]) group |= 1u << lane;
    }
    return group;
  }

  [[noreturn]] void deadlock() const {
    constexpr int kMostLines = 16;
    std::string report = "deadlock: no thread can go on\n  kernel " + launch_.program.kernel;
    int lines = 0;
    for (const Warp* warp : warps_) {
      for (LaneMask left = warp->live(); left != 0 && lines < kMostLines;) {
        const uint32_t pc = warp->pc[static_cast<size_t>(std::countr_zero(left))];
        LaneMask together = 0;
        for (LaneMask rest = left; rest != 0; rest &= rest - 1) {
          if (warp->pc[static_cast<size_t>(std::countr_zero(rest))] == pc) together |= rest & -rest;
        }
        left &= ~together;
        const Extent place = warp->block->place;
        report +=
            fmt::format("\n  block ({},{},{}) warp {} lanes {:#010x} wait at {}", place.x, place.y, place.z,
                        warp->index, together, launch_.program.where(launch_.program.code[pc]));
        ++lines;
      }
    }
    throw Fault(report);
  }

  Launch& launch_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<Cluster> clusters_;
  std::vector<Warp*> warps_;
  size_t first_ = 0;  ///< where the search for a ready warp begins
  size_t picked_ = 0;
  uint64_t progress_ = 0;
  int expired_in_vain_ = 0;
};

}  // namespace

void run(Launch& launch) {
  const std::vector<uint64_t> blocks = blocks_in_order(launch);
  launch.agents.begin(launch.options);
  if (launch.checker != nullptr) launch.checker->begin_launch();
  launch.executed.assign(launch.program.code.size(), {});
  if (launch.options.count_requests) launch.requests.assign(launch.program.code.size(), {});
  const size_t in_cluster = launch.cluster.count(),
               wanted = static_cast<size_t>(std::max(1, launch.options.resident_blocks)),
               resident = (wanted + in_cluster - 1) / in_cluster * in_cluster,
               together = std::min(blocks.size(), resident);
  Scheduler scheduler(launch, together);
  for (size_t i = 0; i < blocks.size(); i += together) {
    scheduler.run(blocks.data() + i, std::min(together, blocks.size() - i));
  }
}

}  // namespace prospect::emulator
