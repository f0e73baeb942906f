#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace prospect::emulator {

struct Allocation {
  uint64_t base;
  size_t bytes;
  bool live;
};

/// What fresh memory holds: bytes that repeat. Memory shares their pages until it is written, so that large
/// allocations cost what is used of them.
class Filling {
 public:
  /// Requires: whole pages.
  explicit Filling(const std::vector<std::byte>& bytes);
  ~Filling();
  Filling(const Filling&) = delete;

 private:
  friend class DeviceMemory;
  int file_;
  size_t bytes_;
};

/// Device memory: one stretch of reserved addresses. Allocations keep a gap from each other and their
/// addresses are never used again, so that a stray access meets nothing.
class DeviceMemory {
 public:
  DeviceMemory();
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;

  /// Filled with 0xff: NaN in every floating-point type. Null when the reserve is used up.
  void* allocate(size_t bytes) { return allocate(bytes, nans_); }
  void* allocate(size_t bytes, const Filling& filling);
  /// Whether `address` was the start of a live allocation.
  bool release(void* address);
  /// The allocation that holds `address`, live or not, or the one before the gap that does; null otherwise.
  const Allocation* find(uint64_t address);
  bool holds(uint64_t address) const { return address - base_ < kReserved; }
  size_t bytes_in_use() const { return in_use_; }

 private:
  static constexpr size_t kReserved = 64ull << 30;
  Filling nans_;
  uint64_t base_, next_;
  size_t in_use_ = 0;
  std::map<uint64_t, Allocation> allocations_;
  const Allocation* last_ = nullptr;
};

}  // namespace prospect::emulator
