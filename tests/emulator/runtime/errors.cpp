// Errors of the runtime: the last one, and the one that stays.
#include "tests/emulator/runtime/status.h"

namespace prospect::emulator {
namespace {

cudaError_t& last_error() {
  static cudaError_t error = cudaSuccess;
  return error;
}

struct Name {
  cudaError_t error;
  const char *name, *text;
};
constexpr Name kNames[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorCooperativeLaunchTooLarge, "cudaErrorCooperativeLaunchTooLarge",
     "too many blocks in cooperative launch"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
};
const Name& find(cudaError_t error) {
  for (const Name& each : kNames) {
    if (each.error == error) return each;
  }
  static constexpr Name kUnknown{cudaErrorUnknown, "cudaErrorUnknown", "unknown error"};
  return kUnknown;
}

}  // namespace

cudaError_t finish(cudaError_t status) {
  if (!Device::instance().report().empty()) return cudaErrorLaunchFailure;
  if (status != cudaSuccess) last_error() = status;
  return status;
}

}  // namespace prospect::emulator

using prospect::emulator::Device;

cudaError_t cudaPeekAtLastError() {
  return Device::instance().report().empty() ? prospect::emulator::last_error() : cudaErrorLaunchFailure;
}
cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  prospect::emulator::last_error() = cudaSuccess;
  return error;
}
const char* cudaGetErrorName(cudaError_t error) {
  return prospect::emulator::find(error).name;
}
/// After a fault its report is the text: whoever prints CUDA's error prints what happened.
const char* cudaGetErrorString(cudaError_t error) {
  const std::string& report = Device::instance().report();
  if (error == cudaErrorLaunchFailure && !report.empty()) return report.c_str();
  return prospect::emulator::find(error).text;
}
