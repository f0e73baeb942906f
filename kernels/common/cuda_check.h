#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "kernels/common/error.h"

namespace prospect::kernels::cuda {

/// Throws Error(Bug) that names the operation and CUDA's reason. Launchers end with
/// check(cudaGetLastError(), "layernorm_forward").
inline void check(cudaError_t status, const char* operation) {
  if (status == cudaSuccess) return;
  throw Error(ExitCode::Bug, std::string(operation) + ": " + cudaGetErrorString(status));
}

}  // namespace prospect::kernels::cuda
