#include "tests/emulator/memory.h"

#include <sys/mman.h>

#include <cstring>
#include <new>

namespace prospect::emulator {

constexpr size_t kPage = 4096;

DeviceMemory::DeviceMemory() {
  void* reserved = mmap(nullptr, kReserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) throw std::bad_alloc();
  base_ = reinterpret_cast<uint64_t>(reserved);
  next_ = base_ + kPage;
}

DeviceMemory::~DeviceMemory() {
  munmap(reinterpret_cast<void*>(base_), kReserved);
}

void* DeviceMemory::allocate(size_t bytes) {
  const size_t pages = (bytes + kPage - 1) / kPage * kPage;
  if (bytes > kReserved || next_ + pages + kPage > base_ + kReserved) return nullptr;
  void* address = reinterpret_cast<void*>(next_);
  if (pages > 0 && mprotect(address, pages, PROT_READ | PROT_WRITE) != 0) return nullptr;
  std::memset(address, 0xff, bytes);
  last_ = nullptr;
  allocations_[next_] = {next_, bytes, true};
  next_ += pages + kPage;
  in_use_ += bytes;
  return address;
}

bool DeviceMemory::release(void* address) {
  const auto found = allocations_.find(reinterpret_cast<uint64_t>(address));
  if (found == allocations_.end() || !found->second.live) return false;
  found->second.live = false;
  in_use_ -= found->second.bytes;
  const size_t pages = (found->second.bytes + kPage - 1) / kPage * kPage;
  if (pages > 0) {
    madvise(address, pages, MADV_DONTNEED);
    mprotect(address, pages, PROT_NONE);
  }
  return true;
}

const Allocation* DeviceMemory::find(uint64_t address) {
  if (last_ != nullptr && address - last_->base < last_->bytes) return last_;
  auto next = allocations_.upper_bound(address);
  if (next == allocations_.begin()) return nullptr;
  const Allocation& found = std::prev(next)->second;
  if (address - found.base >= found.bytes + 2 * kPage) return nullptr;
  return last_ = &found;
}

}  // namespace prospect::emulator
