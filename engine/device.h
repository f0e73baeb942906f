#pragma once

#include <cstdint>
#include <memory>

namespace prospect {

/// Bytes of device memory: handed out now, at most so far, and held in total (in use or cached).
struct MemoryUse {
  int64_t current_bytes = 0;
  int64_t peak_bytes = 0;
  int64_t held_bytes = 0;
};

/// A place where tensors live. A cheap handle; copies name the same device. Memory comes from a caching
/// arena: a freed block serves the next request of its size class, so a training step in its steady state
/// asks the operating system for nothing.
class Device {
 public:
  struct Options {
    /// The most bytes the device may hold; 0 means no limit. Beyond it allocation fails with BadConfig.
    int64_t memory_budget_bytes = 0;
  };

  static Device cpu() { return cpu(Options{}); }
  static Device cpu(Options options);

  /// A block of at least `bytes` bytes, aligned to 64, with undefined content. Thread-safe.
  /// Throws: Error(BadConfig) when the budget or the machine's memory is exhausted.
  std::shared_ptr<std::byte> allocate(int64_t bytes) const;
  MemoryUse memory_use() const;
  void reset_peak() const;
  /// Returns every cached block to the operating system.
  void release_cached() const;

  bool operator==(const Device& other) const { return arena_ == other.arena_; }

 private:
  class Arena;
  explicit Device(std::shared_ptr<Arena> arena) : arena_(std::move(arena)) {}
  std::shared_ptr<Arena> arena_;
};

}  // namespace prospect
