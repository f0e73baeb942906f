#pragma once

#include "kernels/common/cuda_check.h"

namespace prospect::kernels::cuda {

/// Of the current device. Throws Error(Bug) that names the operation.
inline int device_attribute(cudaDeviceAttr which, const char* operation) {
  int device = 0, value = 0;
  check(cudaGetDevice(&device), operation);
  check(cudaDeviceGetAttribute(&value, which, device), operation);
  return value;
}
inline int multiprocessors(const char* operation) {
  return device_attribute(cudaDevAttrMultiProcessorCount, operation);
}

}  // namespace prospect::kernels::cuda
