#include "engine/device.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include "kernels/common/check.h"

namespace prospect {

/// Free blocks by size class. Blocks keep the arena alive, so a tensor may outlive its Device handle.
class Device::Arena : public std::enable_shared_from_this<Device::Arena> {
 public:
  explicit Arena(Options options) : options_(options) {}
  ~Arena() { release_cached(); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::shared_ptr<std::byte> allocate(int64_t bytes) {
    const auto [block, size] = take(size_class(bytes));
    return {block,
            [arena = shared_from_this(), size = size](std::byte* freed) { arena->give_back(freed, size); }};
  }

  MemoryUse use() {
    const std::lock_guard lock(mutex_);
    return use_;
  }

  void reset_peak() {
    const std::lock_guard lock(mutex_);
    use_.peak_bytes = use_.current_bytes;
  }

  void release_cached() {
    const std::lock_guard lock(mutex_);
    drop_cached();
  }

 private:
  static constexpr int64_t kSmallCacheBytes = 64 << 20;

  void drop_cached() {
    for (auto& [size, blocks] : cached_) {
      for (std::byte* block : blocks) std::free(block);
      use_.held_bytes -= size * static_cast<int64_t>(blocks.size());
    }
    cached_.clear();
  }

  /// Rounds up to one of eight steps per power of two: at most 1/8 is wasted, and sizes that differ a little
  /// between steps (ragged batches) share blocks.
  static int64_t size_class(int64_t bytes) {
    if (bytes <= 512) return 512;
    const int64_t step =
        std::max<int64_t>(64, static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(bytes))) / 8);
    return (bytes + step - 1) / step * step;
  }

  /// The smallest cached block of at least `size` and at most half more, else a new one. Returns its size
  /// too.
  std::pair<std::byte*, int64_t> take(int64_t size) {
    const std::lock_guard lock(mutex_);
    std::byte* block = nullptr;
    const auto found = cached_.lower_bound(size);
    if (found != cached_.end() && found->first <= size + size / 2) {
      size = found->first;
      block = found->second.back();
      found->second.pop_back();
      if (found->second.empty()) cached_.erase(found);
    } else {
      block = request(size);
    }
    use_.current_bytes += size;
    use_.peak_bytes = std::max(use_.peak_bytes, use_.current_bytes);
    return {block, size};
  }

  std::byte* request(int64_t size) {
    const int64_t budget = options_.memory_budget_bytes, cached = use_.held_bytes - use_.current_bytes;
    // Ragged batches leave blocks of every size behind; what is cached stays a fraction of what is used.
    const bool too_much_cached = cached > std::max(kSmallCacheBytes, use_.current_bytes / 8);
    if (too_much_cached || (budget > 0 && use_.held_bytes + size > budget)) drop_cached();
    if (budget > 0 && use_.held_bytes + size > budget) {
      fail(ExitCode::BadConfig,
           "memory: {} MiB more would pass the budget of {} MiB; lower --micro-batch-tokens "
           "or turn on --gradient-checkpointing",
           size >> 20, budget >> 20);
    }
    void* block = std::aligned_alloc(64, static_cast<size_t>(size));
    if (block == nullptr) {
      fail(ExitCode::BadConfig, "memory: the machine has no {} MiB left ({} MiB held)", size >> 20,
           use_.held_bytes >> 20);
    }
    use_.held_bytes += size;
    return static_cast<std::byte*>(block);
  }

  void give_back(std::byte* block, int64_t size) {
    const std::lock_guard lock(mutex_);
    cached_[size].push_back(block);
    use_.current_bytes -= size;
  }

  const Options options_;
  std::mutex mutex_;
  MemoryUse use_;
  std::map<int64_t, std::vector<std::byte*>> cached_;
};

Device Device::cpu(Options options) {
  return Device(std::make_shared<Arena>(options));
}

std::shared_ptr<std::byte> Device::allocate(int64_t bytes) const {
  return arena_->allocate(bytes);
}

MemoryUse Device::memory_use() const {
  return arena_->use();
}

void Device::reset_peak() const {
  arena_->reset_peak();
}

void Device::release_cached() const {
  arena_->release_cached();
}

}  // namespace prospect
