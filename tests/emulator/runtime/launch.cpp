// Launches, and what nvcc's host code calls to register kernels and to make them.
#include <cstring>
#include <utility>

#include "tests/emulator/runtime/fat_binary.h"
#include "tests/emulator/runtime/status.h"

using prospect::emulator::Device;
using prospect::emulator::Extent;
using prospect::emulator::finish;
using prospect::emulator::LaunchShape;
using prospect::emulator::resident_blocks;

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

bool is_valid(const LaunchShape& shape, const Device::Attributes& attributes) {
  const Extent &grid = shape.grid, &block = shape.block, &cluster = shape.cluster;
  constexpr uint64_t kMostClusterBlocks = 8;  // that every device with clusters can run
  if (grid.count() == 0 || grid.y > 65535 || grid.z > 65535) return false;
  if (block.count() == 0 || block.count() > attributes.max_threads || block.z > 64) return false;
  if (shape.dynamic_shared > static_cast<size_t>(attributes.max_dynamic_shared)) return false;
  if (cluster.count() == 1) return true;
  return cluster.count() > 0 && cluster.count() <= kMostClusterBlocks &&
         Device::instance().options.target >= 90 && grid.x % cluster.x == 0 && grid.y % cluster.y == 0 &&
         grid.z % cluster.z == 0;
}

cudaError_t launch(const void* function, LaunchShape shape, void** arguments) {
  Device& device = Device::instance();
  if (finish(cudaSuccess) != cudaSuccess) return cudaErrorLaunchFailure;
  if (!device.has_kernel(function)) return finish(cudaErrorInvalidDeviceFunction);
  try {
    const Device::Attributes& attributes = device.attributes(function);
    if (attributes.cluster.count() > 0 && shape.cluster.count() == 1) shape.cluster = attributes.cluster;
    if (!is_valid(shape, attributes)) return finish(cudaErrorInvalidConfiguration);
    const int most = resident_blocks(attributes, shape.block.count(), shape.dynamic_shared);
    if (shape.cooperative &&
        shape.grid.count() > static_cast<uint64_t>(most * device.options.multiprocessors)) {
      return finish(cudaErrorCooperativeLaunchTooLarge);
    }
  } catch (const std::runtime_error&) {
    // The launch below reports what the kernel's PTX holds.
  }
  device.launch(function, shape, arguments);
  return finish(cudaSuccess);
}

Extent extent(dim3 size) {
  return {size.x, size.y, size.z};
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
  return launch(kernel, {extent(grid), extent(block), {}, static_cast<uint32_t>(dynamic_shared)}, arguments);
}

}  // extern "C"

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             size_t dynamic_shared, cudaStream_t) {
  return launch(function, {extent(grid), extent(block), {}, static_cast<uint32_t>(dynamic_shared)},
                arguments);
}
cudaError_t cudaLaunchCooperativeKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                                        size_t dynamic_shared, cudaStream_t) {
  return launch(function, {extent(grid), extent(block), {}, static_cast<uint32_t>(dynamic_shared), true},
                arguments);
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  LaunchShape shape{
      extent(config->gridDim), extent(config->blockDim), {}, static_cast<uint32_t>(config->dynamicSmemBytes)};
  for (unsigned i = 0; i < config->numAttrs; ++i) {
    switch (config->attrs[i].id) {
      case cudaLaunchAttributeCooperative:
        shape.cooperative = config->attrs[i].val.cooperative != 0;
        break;
      case cudaLaunchAttributeClusterDimension: {
        const auto& cluster = config->attrs[i].val.clusterDim;
        shape.cluster = {cluster.x, cluster.y, cluster.z};
        break;
      }
      case cudaLaunchAttributeProgrammaticStreamSerialization:
        break;  // launches follow each other anyway
      default:
        return finish(cudaErrorInvalidValue);
    }
  }
  return launch(function, shape, arguments);
}
