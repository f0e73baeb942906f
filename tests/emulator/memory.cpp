#include "tests/emulator/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>

namespace prospect::emulator {

constexpr size_t kPage = 4096;

Filling::Filling(const std::vector<std::byte>& bytes)
    : file_(memfd_create("filling", MFD_CLOEXEC)), bytes_(bytes.size()) {
  for (size_t written = 0; written < bytes_;) {
    const ssize_t some = write(file_, bytes.data() + written, bytes_ - written);
    if (some <= 0) throw std::system_error(errno, std::generic_category(), "memfd");
    written += static_cast<size_t>(some);
  }
}

Filling::~Filling() {
  close(file_);
}

DeviceMemory::DeviceMemory() : nans_(std::vector<std::byte>(4 << 20, std::byte{0xff})) {
  void* reserved = mmap(nullptr, kReserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) throw std::bad_alloc();
  base_ = reinterpret_cast<uint64_t>(reserved);
  next_ = base_ + kPage;
}

DeviceMemory::~DeviceMemory() {
  munmap(reinterpret_cast<void*>(base_), kReserved);
}

void* DeviceMemory::allocate(size_t bytes, const Filling& filling) {
  const size_t pages = (bytes + kPage - 1) / kPage * kPage;
  if (bytes > kReserved || next_ + pages + kPage > base_ + kReserved) return nullptr;
  void* address = reinterpret_cast<void*>(next_);
  for (size_t done = 0; done < pages; done += filling.bytes_) {
    if (mmap(static_cast<std::byte*>(address) + done, std::min(filling.bytes_, pages - done),
             PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, filling.file_,
             0) == MAP_FAILED) {
      return nullptr;
    }
  }
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
  return pages == 0 || mmap(address, pages, PROT_NONE,
                            MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == address;
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
