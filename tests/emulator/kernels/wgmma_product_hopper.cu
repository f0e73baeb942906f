// One producer thread brings tiles of a and b to two stages in turn; a warpgroup multiplies them; its result
// goes back through shared memory. Everything is ragged: what is outside comes as zeros and is not stored.
#include "kernels/common/bf16.h"
#include "kernels/common/hopper.cuh"
#include "kernels/common/tensor_map.h"
#include "kernels/common/tma.cuh"
#include "kernels/common/wgmma.cuh"
#include "tests/emulator/kernels/wgmma_product.h"

namespace prospect::emulator::planted {
namespace {

using namespace kernels::cuda;  // NOLINT
using Bug = WgmmaBug;

constexpr int kRows = 64, kColumns = 64, kDepth = 64, kStages = 2, kThreads = 256;
constexpr uint32_t kTileBytes = 64 * kDepth * 2, kStageBytes = 2 * kTileBytes;
constexpr int kHalf = 32;  // columns of c in a tile of 128-byte rows
constexpr uint32_t kResultBytes = kRows * kColumns * 4;
constexpr uint32_t kSharedBytes = kStages * kStageBytes + kResultBytes + 2 * kStages * 8;

struct Barriers {
  uint32_t first;
  __device__ uint32_t full(int stage) const { return first + 8 * stage; }
  __device__ uint32_t empty(int stage) const { return first + 8 * (kStages + stage); }
};

template <Bug bug>
__device__ void produce(const CUtensorMap& a, const CUtensorMap& b, uint32_t tiles, Barriers barriers,
                        int steps) {
  for (int i = 0; i < steps; ++i) {
    const int stage = i % kStages;
    const uint32_t tile = tiles + stage * kStageBytes, full = barriers.full(stage);
    if (bug != Bug::NoEmptyWait) ptx::wait(barriers.empty(stage), (i / kStages + 1) % 2);
    const uint32_t bytes = bug == Bug::TooFewBytes    ? kTileBytes
                           : bug == Bug::TooManyBytes ? 2 * kStageBytes
                                                      : kStageBytes;
    ptx::arrive_expecting(full, bytes);
    ptx::load_tile(tile, &a, full, i * kDepth, blockIdx.y * kRows);
    ptx::load_tile(tile + kTileBytes, &b, full, i * kDepth, blockIdx.x * kColumns);
  }
}

template <Bug bug>
__device__ void consume(float (&sum)[kColumns / 2], uint32_t tiles, Barriers barriers, int steps) {
#pragma unroll
  for (int i = 0; i < kColumns / 2; ++i) sum[i] = 0;
  for (int i = 0; i < steps; ++i) {
    const int stage = i % kStages;
    const uint32_t tile = tiles + stage * kStageBytes;
    if (bug != Bug::NoFullWait) ptx::wait(barriers.full(stage), i / kStages % 2);
    ptx::pin(sum);
    if (bug != Bug::NoProductFence) ptx::begin_products();
#pragma unroll
    for (int step = 0; step < kDepth / 16; ++step) {
      if (bug == Bug::OneWarpIsAhead && step == 1 && threadIdx.x / 32 == 6) continue;
      ptx::multiply<false, false>(sum, ptx::matrix_descriptor(tile + 32 * step, 0, 1024),
                                  ptx::matrix_descriptor(tile + kTileBytes + 32 * step, 0, 1024), 1);
    }
    ptx::commit_products();
    const bool releases = threadIdx.x % 128 == 0;
    if (bug == Bug::EarlyRelease && releases) ptx::arrive(barriers.empty(stage));
    if (bug != Bug::NoProductWait || i + 1 < steps) ptx::wait_for_products<0>();
    ptx::pin(sum);
    if (bug != Bug::EarlyRelease && releases) ptx::arrive(barriers.empty(stage));
  }
}

/// From the fragments of a warpgroup to two tiles of 32 columns, permuted as the map says.
__device__ void put_result(const float (&sum)[kColumns / 2], unsigned char* result) {
  const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < kColumns / 2; i += 2) {
    const int row = 16 * warp + 8 * (i / 2 % 2) + lane / 4, column = 8 * (i / 4) + 2 * (lane % 4);
    const int chunk = column % kHalf / 4 ^ row % 8;
    float* to =
        reinterpret_cast<float*>(result + column / kHalf * (kResultBytes / 2) + row * 128 + chunk * 16);
    to[column % 4] = sum[i];
    to[column % 4 + 1] = sum[i + 1];
  }
}

template <Bug bug>
__global__ void __launch_bounds__(kThreads, 1)
    wgmma_product_kernel(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
                         const __grid_constant__ CUtensorMap c, int steps) {
  extern __shared__ __align__(1024) unsigned char shared[];
  const uint32_t tiles = ptx::shared_address(shared);
  unsigned char* result = shared + kStages * kStageBytes;
  const Barriers barriers{tiles + kStages * kStageBytes + kResultBytes};
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      ptx::init_barrier(barriers.full(i), 1);
      ptx::init_barrier(barriers.empty(i), 1);
    }
    if (bug != Bug::NoInitFence) ptx::fence_barrier_init();
  }
  __syncthreads();
  if (threadIdx.x < 128) {
    ptx::release_registers<40>();
    if (threadIdx.x == 0) produce<bug>(a, b, tiles, barriers, steps);
    return;
  }
  ptx::claim_registers<232>();
  float sum[kColumns / 2];
  consume<bug>(sum, tiles, barriers, steps);
  put_result(sum, result);
  if (bug != Bug::NoProxyFence) ptx::fence_async_shared();
  if (bug != Bug::NoStoreBarrier) ptx::sync_threads(1, 128);
  if (threadIdx.x != 128) return;
  for (int i = 0; i < kColumns / kHalf; ++i) {
    ptx::store_tile(&c, ptx::shared_address(result) + i * (kResultBytes / 2),
                    blockIdx.x * kColumns + i * kHalf, blockIdx.y * kRows);
  }
  ptx::commit_stores();
  if (bug != Bug::NoStoreWait) ptx::wait_for_store_reads<0>();
}

template <class T>
CUtensorMap map_of(CUtensorMapDataType type, T* base, int rows, int columns, int box_rows, int box_columns) {
  return tensor_map<2>({.type = type,
                        .base = const_cast<std::remove_const_t<T>*>(base),
                        .size = {static_cast<uint64_t>(columns), static_cast<uint64_t>(rows)},
                        .stride = {static_cast<uint64_t>(columns) * sizeof(T)},
                        .box = {static_cast<uint32_t>(box_columns), static_cast<uint32_t>(box_rows)},
                        .swizzle = CU_TENSOR_MAP_SWIZZLE_128B});
}

template <Bug bug>
void launch(const WgmmaProduct& args) {
  const CUtensorMap a = map_of(CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, args.a, args.m, args.k, kRows, kDepth),
                    b = map_of(CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, args.b, args.n, args.k, kColumns, kDepth),
                    c = map_of(CU_TENSOR_MAP_DATA_TYPE_FLOAT32, args.c, args.m, args.n, kRows, kHalf);
  cudaFuncSetAttribute(wgmma_product_kernel<bug>, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes);
  const dim3 grid((args.n + kColumns - 1) / kColumns, (args.m + kRows - 1) / kRows);
  wgmma_product_kernel<bug><<<grid, kThreads, kSharedBytes>>>(a, b, c, (args.k + kDepth - 1) / kDepth);
}

template <int... kBugs>
void launch_one_of(const WgmmaProduct& args, Bug bug, std::integer_sequence<int, kBugs...>) {
  ((static_cast<Bug>(kBugs) == bug ? launch<static_cast<Bug>(kBugs)>(args) : void()), ...);
}

}  // namespace

void wgmma_product(const WgmmaProduct& args, Bug bug) {
  launch_one_of(args, bug, std::make_integer_sequence<int, static_cast<int>(Bug::OneWarpIsAhead) + 1>());
}

}  // namespace prospect::emulator::planted
