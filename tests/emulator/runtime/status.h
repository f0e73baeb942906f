#pragma once

#include <cuda_runtime_api.h>

#include "tests/emulator/device.h"

namespace prospect::emulator {

/// Keeps `status` for cudaGetLastError. After a fault every call fails, as on a device.
cudaError_t finish(cudaError_t status);

/// How many blocks of a kernel a multiprocessor holds, by their threads and shared memory.
int resident_blocks(const Device::Attributes& attributes, uint64_t threads, size_t dynamic_shared);

}  // namespace prospect::emulator
