// What a kernel needs and may have.
#include <algorithm>
#include <cstring>

#include "tests/emulator/runtime/status.h"

using prospect::emulator::Device;
using prospect::emulator::finish;

namespace prospect::emulator {

int resident_blocks(const Device::Attributes& attributes, uint64_t threads, size_t dynamic_shared) {
  const size_t by_shared = kSharedMost / std::max<size_t>(1, dynamic_shared + attributes.static_shared);
  return static_cast<int>(std::min<uint64_t>({32, 2048 / threads, by_shared}));
}

}  // namespace prospect::emulator

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  Device& device = Device::instance();
  if (!device.has_kernel(function)) return finish(cudaErrorInvalidDeviceFunction);
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return finish(cudaSuccess);
  Device::Attributes& attributes = device.attributes(function);
  const size_t most = prospect::emulator::kSharedMost - attributes.static_shared;
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
      static_cast<size_t>(value) > most) {
    return finish(cudaErrorInvalidValue);
  }
  attributes.max_dynamic_shared = value;
  return finish(cudaSuccess);
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  Device& device = Device::instance();
  if (!device.has_kernel(function)) return finish(cudaErrorInvalidDeviceFunction);
  std::memset(attributes, 0, sizeof(*attributes));
  attributes->maxThreadsPerBlock = static_cast<int>(device.attributes(function).max_threads);
  attributes->sharedSizeBytes = device.attributes(function).static_shared;
  attributes->maxDynamicSharedSizeBytes = device.attributes(function).max_dynamic_shared;
  return finish(cudaSuccess);
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void* function,
                                                                   int threads, size_t dynamic_shared,
                                                                   unsigned) {
  Device& device = Device::instance();
  if (!device.has_kernel(function) || threads <= 0) return finish(cudaErrorInvalidValue);
  *blocks = prospect::emulator::resident_blocks(device.attributes(function), static_cast<uint64_t>(threads),
                                                dynamic_shared);
  return finish(cudaSuccess);
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function, int threads,
                                                          size_t dynamic_shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads, dynamic_shared, 0);
}
