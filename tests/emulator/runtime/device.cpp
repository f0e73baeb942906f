// The device, its streams and events.
#include <cstring>

#include "tests/emulator/program.h"
#include "tests/emulator/runtime/status.h"

using prospect::emulator::Device;
using prospect::emulator::finish;

namespace {

int multiprocessors() {
  Device& device = Device::instance();
  device.told_multiprocessors = true;
  return device.options.multiprocessors;
}

/// Streams and events only need to be told apart.
template <class Handle>
cudaError_t create(Handle* handle) {
  *handle = reinterpret_cast<Handle>(new char);
  return finish(cudaSuccess);
}
template <class Handle>
cudaError_t destroy(Handle handle) {
  delete reinterpret_cast<char*>(handle);
  return finish(cudaSuccess);
}

}  // namespace

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return finish(cudaSuccess);
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return finish(cudaSuccess);
}
cudaError_t cudaSetDevice(int device) {
  return finish(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}
cudaError_t cudaDeviceSynchronize() {
  return finish(cudaSuccess);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return finish(cudaErrorInvalidDevice);
  std::memset(properties, 0, sizeof(*properties));
  std::strcpy(properties->name, "PTX emulator");
  properties->major = Device::instance().options.target / 10;
  properties->minor = Device::instance().options.target % 10;
  properties->multiProcessorCount = multiprocessors();
  properties->warpSize = prospect::emulator::kLanes;
  properties->maxThreadsPerBlock = 1024;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->sharedMemPerBlock = 48 << 10;
  properties->sharedMemPerBlockOptin = prospect::emulator::kSharedMost;
  properties->totalGlobalMem = 64ull << 30;
  return finish(cudaSuccess);
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device != 0) return finish(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = multiprocessors();
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = Device::instance().options.target / 10;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = Device::instance().options.target % 10;
      break;
    case cudaDevAttrWarpSize:
      *value = prospect::emulator::kLanes;
      break;
    case cudaDevAttrMaxThreadsPerBlock:
      *value = 1024;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = 48 << 10;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = prospect::emulator::kSharedMost;
      break;
    case cudaDevAttrCooperativeLaunch:
      *value = 1;
      break;
    default:
      return finish(cudaErrorInvalidValue);
  }
  return finish(cudaSuccess);
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return create(stream);
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return create(stream);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return destroy(stream);
}
cudaError_t cudaStreamSynchronize(cudaStream_t) {
  return finish(cudaSuccess);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
  return finish(cudaSuccess);
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return create(event);
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  return create(event);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return destroy(event);
}
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) {
  return finish(cudaSuccess);
}
cudaError_t cudaEventSynchronize(cudaEvent_t) {
  return finish(cudaSuccess);
}
cudaError_t cudaEventQuery(cudaEvent_t) {
  return finish(cudaSuccess);
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t, cudaEvent_t) {
  *milliseconds = 0;
  return finish(cudaSuccess);
}
