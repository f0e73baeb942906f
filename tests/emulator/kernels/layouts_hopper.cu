#include "kernels/common/hopper.cuh"
#include "kernels/common/tensor_map.h"
#include "kernels/common/tma.cuh"
#include "kernels/common/wgmma.cuh"
#include "tests/emulator/kernels/layouts.h"

namespace prospect::emulator::layouts {
namespace {

using namespace kernels::cuda;  // NOLINT

constexpr int kColumns = 128;

__global__ void store_fragments_kernel(uint32_t* image, int words, const uint32_t* rows, bool transposed,
                                       const uint32_t* fragments) {
  extern __shared__ __align__(1024) uint32_t shared[];
  for (int i = threadIdx.x; i < words; i += blockDim.x) shared[i] = 0;
  __syncwarp();
  uint32_t fragment[4];
  for (int i = 0; i < 4; ++i) fragment[i] = fragments[4 * threadIdx.x + i];
  const uint32_t row = ptx::shared_address(shared) + rows[threadIdx.x];
  if (transposed) {
    ptx::store_matrices_transposed(row, fragment);
  } else {
    ptx::store_matrices(row, fragment);
  }
  __syncwarp();
  for (int i = threadIdx.x; i < words; i += blockDim.x) image[i] = shared[i];
}

template <bool kForCluster>
__global__ void load_box_kernel(const __grid_constant__ CUtensorMap map, int column, int row, int words,
                                uint32_t* image) {
  extern __shared__ __align__(1024) uint32_t shared[];
  __shared__ uint64_t barrier;
  const uint32_t full = ptx::shared_address(&barrier), to = ptx::shared_address(shared);
  if (threadIdx.x == 0) {
    ptx::prefetch_map(&map);
    ptx::init_barrier(full, 1);
    ptx::fence_barrier_init();
    ptx::arrive_expecting(full, words * 4);
  }
  if (kForCluster) {
    __syncwarp();
    ptx::arrive_at_cluster();
    ptx::wait_for_cluster();
    if (threadIdx.x == 0 && ptx::cluster_rank() == 0)
      ptx::load_tile_for_cluster(to, &map, full, column, row, 3);
  } else if (threadIdx.x == 0) {
    ptx::load_tile(to, &map, full, column, row);
  }
  __syncwarp();
  ptx::wait(full, 0);
  for (int i = threadIdx.x; i < words; i += blockDim.x) image[blockIdx.x * words + i] = shared[i];
}

__global__ void store_box_kernel(const __grid_constant__ CUtensorMap map, int column, int row, int words,
                                 const uint32_t* image, bool adds) {
  extern __shared__ __align__(1024) uint32_t shared[];
  for (int i = threadIdx.x; i < words; i += blockDim.x) shared[i] = image[i];
  ptx::fence_async_shared();
  __syncwarp();
  if (threadIdx.x != 0) return;
  if (adds) {
    ptx::add_tile(&map, ptx::shared_address(shared), column, row);
  } else {
    ptx::store_tile(&map, ptx::shared_address(shared), column, row);
  }
  ptx::commit_stores();
  ptx::wait_for_stores<0>();
}

/// Fills shared memory; returns what to add to descriptors.
__device__ uint64_t fill(const uint4* image, int bytes) {
  extern __shared__ __align__(1024) uint4 wide[];
  for (int i = threadIdx.x; i < bytes / 16; i += blockDim.x) wide[i] = image[i];
  ptx::fence_async_shared();
  __syncthreads();
  return ptx::shared_address(wide) >> 4;
}

__device__ void finish(float (&sum)[kColumns / 2], float* to) {
  ptx::commit_products();
  ptx::wait_for_products<0>();
  ptx::pin(sum);
  for (int i = 0; i < kColumns / 2; ++i) to[threadIdx.x * (kColumns / 2) + i] = sum[i];
}

template <bool kATransposed, bool kBTransposed>
__global__ void __launch_bounds__(128) multiply_shared_kernel(Product product) {
  const uint64_t base = fill(static_cast<const uint4*>(product.image), product.bytes);
  float sum[kColumns / 2] = {};
  ptx::pin(sum);
  ptx::begin_products();
  for (int i = 0; i < product.steps; ++i) {
    ptx::multiply<kATransposed, kBTransposed>(sum, product.descriptors[2 * i] + base,
                                              product.descriptors[2 * i + 1] + base, i > 0);
  }
  finish(sum, product.sum);
}

template <bool kBTransposed>
__global__ void __launch_bounds__(128) multiply_registers_kernel(Product product, const uint32_t* a) {
  const uint64_t base = fill(static_cast<const uint4*>(product.image), product.bytes);
  float sum[kColumns / 2] = {};
  for (int i = 0; i < product.steps; ++i) {
    uint32_t own[4];
    for (int r = 0; r < 4; ++r) own[r] = a[(i * 128 + threadIdx.x) * 4 + r];
    ptx::pin(sum);
    ptx::pin(own);
    ptx::begin_products();
    ptx::multiply<kBTransposed>(sum, own, product.descriptors[2 * i + 1] + base, i > 0);
    ptx::commit_products();
    ptx::wait_for_products<0>();
  }
  finish(sum, product.sum);
}

CUtensorMap map_of(const Box& box, CUtensorMapDataType type, int element) {
  const auto swizzle = box.permuted == 128  ? CU_TENSOR_MAP_SWIZZLE_128B
                       : box.permuted == 64 ? CU_TENSOR_MAP_SWIZZLE_64B
                       : box.permuted == 32 ? CU_TENSOR_MAP_SWIZZLE_32B
                                            : CU_TENSOR_MAP_SWIZZLE_NONE;
  return tensor_map<2>({.type = type,
                        .base = const_cast<void*>(box.tensor),
                        .size = {static_cast<uint64_t>(box.columns), static_cast<uint64_t>(box.rows)},
                        .stride = {static_cast<uint64_t>(box.columns * element)},
                        .box = {static_cast<uint32_t>(box.box_columns), static_cast<uint32_t>(box.box_rows)},
                        .swizzle = swizzle});
}

}  // namespace

void store_fragments(void* image, int bytes, const uint32_t* rows, bool transposed,
                     const uint32_t* fragments) {
  store_fragments_kernel<<<1, 32, bytes>>>(static_cast<uint32_t*>(image), bytes / 4, rows, transposed,
                                           fragments);
}

void load_box(const Box& box, void* image) {
  const int bytes = box.box_rows * box.box_columns * 2;
  load_box_kernel<false><<<1, 32, bytes>>>(map_of(box, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2), box.column,
                                           box.row, bytes / 4, static_cast<uint32_t*>(image));
}

void load_box_for_cluster(const Box& box, void* images) {
  const int bytes = box.box_rows * box.box_columns * 2;
  cudaLaunchAttribute attribute;
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {2, 1, 1};
  cudaLaunchConfig_t config = {};
  config.gridDim = 2;
  config.blockDim = 32;
  config.dynamicSmemBytes = bytes;
  config.attrs = &attribute;
  config.numAttrs = 1;
  cudaLaunchKernelEx(&config, load_box_kernel<true>, map_of(box, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2),
                     box.column, box.row, bytes / 4, static_cast<uint32_t*>(images));
}

void store_box(const Box& box, const void* image, bool adds) {
  const int bytes = box.box_rows * box.box_columns * 4;
  store_box_kernel<<<1, 32, bytes>>>(map_of(box, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 4), box.column, box.row,
                                     bytes / 4, static_cast<const uint32_t*>(image), adds);
}

void multiply_shared(const Product& product, bool a_transposed, bool b_transposed) {
  const auto kernel = a_transposed   ? multiply_shared_kernel<true, false>
                      : b_transposed ? multiply_shared_kernel<false, true>
                                     : multiply_shared_kernel<false, false>;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, product.bytes);
  kernel<<<1, 128, product.bytes>>>(product);
}

void multiply_registers(const Product& product, const uint32_t* a, bool b_transposed) {
  const auto kernel = b_transposed ? multiply_registers_kernel<true> : multiply_registers_kernel<false>;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, product.bytes);
  kernel<<<1, 128, product.bytes>>>(product, a);
}

}  // namespace prospect::emulator::layouts
