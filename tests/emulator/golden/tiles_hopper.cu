// Boxes of tensors of three and four dimensions; those of two are in ../kernels/layouts.h.
#include "kernels/common/hopper.cuh"
#include "kernels/common/tensor_map.h"
#include "kernels/common/tma.cuh"
#include "tests/emulator/golden/tiles.h"

namespace prospect::emulator::golden {
namespace {

using namespace kernels::cuda;  // NOLINT

template <int kRank>
CUtensorMap map_of(const void* tensor) {
  TensorBox<kRank> box{.type = CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
                       .base = const_cast<void*>(tensor),
                       .swizzle = CU_TENSOR_MAP_SWIZZLE_NONE};
  uint64_t stride = 4;
  for (int d = 0; d < kRank; ++d) {
    box.size[d] = d < 3 ? kTensorSize[d] : 2;
    box.box[d] = d < 3 ? kBoxSize[d] : 1;
    stride *= box.size[d];
    if (d + 1 < kRank) box.stride[d] = stride;
  }
  return tensor_map<kRank>(box);
}

template <int kRank>
__global__ void load_tile_kernel(const __grid_constant__ CUtensorMap map, int x, int y, int z, int w,
                                 uint32_t* out) {
  __shared__ __align__(128) uint32_t shared[kBoxWords];
  __shared__ uint64_t place;
  const uint32_t full = ptx::shared_address(&place), to = ptx::shared_address(shared);
  if (threadIdx.x == 0) {
    ptx::prefetch_map(&map);
    ptx::init_barrier(full, 1);
    ptx::fence_barrier_init();
    ptx::arrive_expecting(full, sizeof(shared));
    if (kRank == 3) {
      ptx::load_tile(to, &map, full, x, y, z);
    } else {
      ptx::load_tile(to, &map, full, x, y, z, w);
    }
  }
  __syncwarp();
  ptx::wait(full, 0);
  for (int i = threadIdx.x; i < kBoxWords; i += blockDim.x) out[i] = shared[i];
}

__global__ void store_tile_kernel(const __grid_constant__ CUtensorMap map, int x, int y, int z,
                                  const uint32_t* in) {
  __shared__ __align__(128) uint32_t shared[kBoxWords];
  for (int i = threadIdx.x; i < kBoxWords; i += blockDim.x) shared[i] = in[i];
  ptx::fence_async_shared();
  __syncwarp();
  if (threadIdx.x != 0) return;
  ptx::store_tile(&map, ptx::shared_address(shared), x, y, z);
  ptx::commit_stores();
  ptx::wait_for_stores<0>();
}

}  // namespace

void load_tile_3d(const uint32_t* tensor, int x, int y, int z, uint32_t* box) {
  load_tile_kernel<3><<<1, 32>>>(map_of<3>(tensor), x, y, z, 0, box);
}
void load_tile_4d(const uint32_t* tensor, int x, int y, int z, int w, uint32_t* box) {
  load_tile_kernel<4><<<1, 32>>>(map_of<4>(tensor), x, y, z, w, box);
}
void store_tile_3d(const uint32_t* box, int x, int y, int z, uint32_t* tensor) {
  store_tile_kernel<<<1, 32>>>(map_of<3>(tensor), x, y, z, box);
}

}  // namespace prospect::emulator::golden
