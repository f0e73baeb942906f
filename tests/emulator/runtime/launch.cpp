// Launches, and what nvcc's host code calls to register kernels and to make them.
#include <algorithm>
#include <cstring>
#include <utility>

#include "tests/emulator/runtime/fat_binary.h"
#include "tests/emulator/runtime/status.h"

using prospect::emulator::Device;
using prospect::emulator::Extent;
using prospect::emulator::finish;

namespace {

struct Configuration {
  dim3 grid, block;
  size_t dynamic_shared;
  cudaStream_t stream;
};
/// What <<<>>> says, kept until the stub of the kernel asks for it.
std::vector<Configuration>& pushed() {
  static std::vector<Configuration> configurations;
  return configurations;
}

/// Kernel handles are the addresses of the host functions; modules are numbers, from 1 on.
void** as_handle(int module) {
  return reinterpret_cast<void**>(static_cast<uintptr_t>(module) + 1);
}
int as_module(void** handle) {
  return static_cast<int>(reinterpret_cast<uintptr_t>(handle)) - 1;
}

/// How many blocks of a kernel a multiprocessor holds, by their threads and shared memory.
int resident_blocks(const void* function, uint64_t threads, size_t dynamic_shared) {
  const size_t shared = dynamic_shared + Device::instance().attributes(function).static_shared;
  const size_t by_shared = prospect::emulator::kSharedMost / std::max<size_t>(1, shared);
  return static_cast<int>(std::min<uint64_t>({32, 2048 / threads, by_shared}));
}

cudaError_t launch(const void* function, dim3 grid, dim3 block, void** arguments, size_t dynamic_shared,
                   bool cooperative) {
  Device& device = Device::instance();
  if (finish(cudaSuccess) != cudaSuccess) return cudaErrorLaunchFailure;
  if (!device.has_kernel(function)) return finish(cudaErrorInvalidDeviceFunction);
  const Extent blocks{grid.x, grid.y, grid.z}, threads{block.x, block.y, block.z};
  if (blocks.count() == 0 || grid.y > 65535 || grid.z > 65535 || threads.count() == 0 ||
      threads.count() > 1024 || block.z > 64) {
    return finish(cudaErrorInvalidConfiguration);
  }
  try {
    const Device::Attributes& attributes = device.attributes(function);
    if (threads.count() > attributes.max_threads ||
        dynamic_shared > static_cast<size_t>(attributes.max_dynamic_shared)) {
      return finish(cudaErrorInvalidConfiguration);
    }
    const auto most = resident_blocks(function, threads.count(), dynamic_shared);
    if (cooperative && blocks.count() > static_cast<uint64_t>(most * device.options.multiprocessors)) {
      return finish(cudaErrorCooperativeLaunchTooLarge);
    }
  } catch (const std::runtime_error&) {
    // The launch below reports what the kernel's PTX holds.
  }
  device.launch(function, blocks, threads, static_cast<uint32_t>(dynamic_shared), arguments, cooperative);
  return finish(cudaSuccess);
}

}  // namespace

extern "C" {

void** __cudaRegisterFatBinary(void* wrapper) {
  return as_handle(Device::instance().add_module(prospect::emulator::ptx_texts(wrapper)));
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) {
  return 1;
}
void __cudaRegisterFunction(void** module, const char* host_function, char*, const char* name, int, uint3*,
                            uint3*, dim3*, dim3*, int*) {
  Device::instance().add_kernel(host_function, as_module(module), name);
}
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t dynamic_shared, CUstream_st* stream) {
  pushed().push_back({grid, block, dynamic_shared, stream});
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* dynamic_shared, void* stream) {
  const Configuration last = pushed().back();
  pushed().pop_back();
  *grid = last.grid;
  *block = last.block;
  *dynamic_shared = last.dynamic_shared;
  *static_cast<cudaStream_t*>(stream) = last.stream;
  return cudaSuccess;
}
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* host_function) {
  if (!Device::instance().has_kernel(host_function)) return finish(cudaErrorInvalidDeviceFunction);
  *kernel = static_cast<cudaKernel_t>(const_cast<void*>(host_function));
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               size_t dynamic_shared, cudaStream_t) {
  return launch(kernel, grid, block, arguments, dynamic_shared, false);
}

}  // extern "C"

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             size_t dynamic_shared, cudaStream_t) {
  return launch(function, grid, block, arguments, dynamic_shared, false);
}
cudaError_t cudaLaunchCooperativeKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                                        size_t dynamic_shared, cudaStream_t) {
  return launch(function, grid, block, arguments, dynamic_shared, true);
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  bool cooperative = false;
  for (unsigned i = 0; i < config->numAttrs; ++i) {
    switch (config->attrs[i].id) {
      case cudaLaunchAttributeCooperative:
        cooperative = config->attrs[i].val.cooperative != 0;
        break;
      case cudaLaunchAttributeProgrammaticStreamSerialization:
        break;  // launches follow each other anyway
      default:
        return finish(cudaErrorInvalidValue);
    }
  }
  return launch(function, config->gridDim, config->blockDim, arguments, config->dynamicSmemBytes,
                cooperative);
}

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
  *blocks = resident_blocks(function, static_cast<uint64_t>(threads), dynamic_shared);
  return finish(cudaSuccess);
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function, int threads,
                                                          size_t dynamic_shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads, dynamic_shared, 0);
}
