#include "tests/emulator/kernels/layouts.h"

#include "kernels/common/ptx.cuh"

namespace prospect::emulator::layouts {
namespace {

using namespace kernels::cuda;  // NOLINT

__global__ void multiply_fragments_kernel(const uint32_t* a, const uint32_t* b, float* d) {
  uint32_t own[4];
  float sum[4] = {0, 0, 0, 0};
  for (int i = 0; i < 4; ++i) own[i] = a[4 * threadIdx.x + i];
  ptx::multiply_add(sum, own, b[2 * threadIdx.x], b[2 * threadIdx.x + 1]);
  for (int i = 0; i < 4; ++i) d[4 * threadIdx.x + i] = sum[i];
}

__global__ void load_fragments_kernel(const uint32_t* image, int words, const uint32_t* rows, bool transposed,
                                      uint32_t* fragments) {
  extern __shared__ __align__(16) uint32_t shared[];
  for (int i = threadIdx.x; i < words; i += blockDim.x) shared[i] = image[i];
  __syncwarp();
  const uint32_t row = ptx::shared_address(shared) + rows[threadIdx.x];
  uint32_t fragment[4];
  if (transposed) {
    ptx::load_matrices_transposed(fragment, row);
  } else {
    ptx::load_matrices(fragment, row);
  }
  for (int i = 0; i < 4; ++i) fragments[4 * threadIdx.x + i] = fragment[i];
}

}  // namespace

void multiply_fragments(const uint32_t* a, const uint32_t* b, float* d) {
  multiply_fragments_kernel<<<1, 32>>>(a, b, d);
}

void load_fragments(const void* image, int bytes, const uint32_t* rows, bool transposed,
                    uint32_t* fragments) {
  load_fragments_kernel<<<1, 32, bytes>>>(static_cast<const uint32_t*>(image), bytes / 4, rows, transposed,
                                          fragments);
}

}  // namespace prospect::emulator::layouts
