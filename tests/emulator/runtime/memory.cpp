// Memory. Everything has happened when a call returns: streams have no work of their own.
#include <cstring>

#include "tests/emulator/runtime/status.h"

using prospect::emulator::Allocation;
using prospect::emulator::Checker;
using prospect::emulator::Device;
using prospect::emulator::DeviceMemory;
using prospect::emulator::finish;

namespace {

/// Host memory is taken as it is; a range that begins in device memory must end in the same allocation.
bool is_valid(const void* address, size_t bytes) {
  DeviceMemory& memory = Device::instance().memory;
  const auto place = reinterpret_cast<uint64_t>(address);
  if (!memory.holds(place)) return address != nullptr || bytes == 0;
  const Allocation* found = memory.find(place);
  return found != nullptr && found->live && place - found->base + bytes <= found->bytes;
}

void note_write(const void* address, size_t bytes) {
  if (Checker* checker = Device::instance().checker()) {
    checker->note_host_write(reinterpret_cast<uint64_t>(address), bytes);
  }
}

cudaError_t allocate(void** address, size_t bytes) {
  *address = Device::instance().memory.allocate(bytes);
  return finish(*address == nullptr ? cudaErrorMemoryAllocation : cudaSuccess);
}

cudaError_t release(void* address) {
  if (Checker* checker = Device::instance().checker()) checker->forget(reinterpret_cast<uint64_t>(address));
  const bool ok = address == nullptr || Device::instance().memory.release(address);
  return finish(ok ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t copy(void* to, const void* from, size_t bytes) {
  if (!is_valid(to, bytes) || !is_valid(from, bytes)) return finish(cudaErrorInvalidValue);
  std::memmove(to, from, bytes);
  note_write(to, bytes);
  return finish(cudaSuccess);
}

cudaError_t fill(void* to, int value, size_t bytes) {
  if (!is_valid(to, bytes)) return finish(cudaErrorInvalidValue);
  std::memset(to, value, bytes);
  note_write(to, bytes);
  return finish(cudaSuccess);
}

}  // namespace

cudaError_t cudaMalloc(void** address, size_t bytes) {
  return allocate(address, bytes);
}
cudaError_t cudaMallocAsync(void** address, size_t bytes, cudaStream_t) {
  return allocate(address, bytes);
}
cudaError_t cudaFree(void* address) {
  return release(address);
}
cudaError_t cudaFreeAsync(void* address, cudaStream_t) {
  return release(address);
}
cudaError_t cudaMallocHost(void** address, size_t bytes) {
  *address = std::malloc(bytes);
  return finish(*address == nullptr ? cudaErrorMemoryAllocation : cudaSuccess);
}
cudaError_t cudaFreeHost(void* address) {
  std::free(address);
  return finish(cudaSuccess);
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) {
  return copy(to, from, bytes);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  return copy(to, from, bytes);
}
cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  return fill(to, value, bytes);
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
  return fill(to, value, bytes);
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = 64ull << 30;
  *free = *total - Device::instance().memory.bytes_in_use();
  return finish(cudaSuccess);
}
