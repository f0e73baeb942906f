#pragma once

#include <cuda_runtime_api.h>

#include "tests/emulator/device.h"

namespace prospect::emulator {

/// Keeps `status` for cudaGetLastError. After a fault every call fails, as on a device.
cudaError_t finish(cudaError_t status);

}  // namespace prospect::emulator
