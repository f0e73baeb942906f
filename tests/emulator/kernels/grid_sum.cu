#include "tests/emulator/kernels/grid_sum.h"

#include <cooperative_groups.h>

#include "kernels/common/cuda_check.h"
#include "kernels/common/reduce.cuh"

namespace prospect::emulator::planted {
namespace {

using kernels::cuda::kWarp;
using kernels::cuda::warp_sum;
using Bug = GridSumBug;

/// The sum over the block, in every thread. `partial` may be used again at once.
template <Bug bug>
__device__ float block_sum(float value, float* partial) {
  value = warp_sum(value);
  if (bug != Bug::NoBarrierForReuse) __syncthreads();
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = value;
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < kGridSumThreads / kWarp; ++i) sum += partial[i];
  return sum;
}

/// What the block has to add: elements thread, thread + all threads ...
template <Bug bug>
__device__ float part_of(const float* x, int count, float* partial) {
  const int first = blockIdx.x * blockDim.x + threadIdx.x, stride = gridDim.x * blockDim.x;
  if (bug == Bug::BehindTheEnd) ++count;
  if (bug == Bug::EarlyBarrier && first >= count) return 0;
  float sum = 0, elements = 0;
  for (int i = first; i < count; i += stride) sum += x[i], ++elements;
  if (block_sum<bug>(elements, partial) == 0) return 0;
  return block_sum<bug>(sum, partial);
}

template <Bug bug>
__global__ void cooperative_sum_kernel(const float* x, int count, float* parts, float* total) {
  __shared__ float partial[kGridSumThreads / kWarp];
  const auto grid = cooperative_groups::this_grid();
  const float part = part_of<bug>(x, count, partial);
  if (threadIdx.x == 0) parts[blockIdx.x] = part;
  if (bug != Bug::NoGridBarrier) grid.sync();
  const float sum = block_sum<bug>(threadIdx.x < gridDim.x ? parts[threadIdx.x] : 0, partial);
  grid.sync();
  // The parts may be written again now: their readers are behind the barrier.
  if (threadIdx.x == 0) parts[blockIdx.x] = 0;
  if (threadIdx.x == 0) total[blockIdx.x] = sum;
}

template <Bug bug>
__global__ void last_block_sum_kernel(const float* x, int count, float* parts, unsigned* done, float* total) {
  __shared__ float partial[kGridSumThreads / kWarp];
  __shared__ bool is_last;
  const float part = part_of<bug>(x, count, partial);
  if (threadIdx.x == 0) {
    if (bug == Bug::NoAtomic) {
      *total += part;
    } else {
      parts[blockIdx.x] = part;
    }
    if (bug != Bug::NoFence) __threadfence();
    is_last = atomicAdd(done, 1u) == gridDim.x - 1;
    if (bug != Bug::NoFenceBehind) __threadfence();
  }
  __syncthreads();
  if (!is_last || bug == Bug::NoAtomic) return;
  const float sum = block_sum<bug>(threadIdx.x < gridDim.x ? parts[threadIdx.x] : 0, partial);
  if (threadIdx.x != 0) return;
  *total = sum;
  *done = 0;
}

template <Bug bug>
void launch_cooperative(const float* x, int count, float* parts, float* total) {
  void* arguments[] = {&x, &count, &parts, &total};
  cudaLaunchCooperativeKernel(reinterpret_cast<const void*>(cooperative_sum_kernel<bug>), kGridSumBlocks,
                              kGridSumThreads, arguments, 0, nullptr);
}

}  // namespace

void cooperative_sum(const float* x, int count, float* parts, float* total, Bug bug) {
  switch (bug) {
    case Bug::NoGridBarrier:
      return launch_cooperative<Bug::NoGridBarrier>(x, count, parts, total);
    case Bug::NoBarrierForReuse:
      return launch_cooperative<Bug::NoBarrierForReuse>(x, count, parts, total);
    default:
      return launch_cooperative<Bug::None>(x, count, parts, total);
  }
}

void last_block_sum(const float* x, int count, float* parts, unsigned* done, float* total, Bug bug) {
  const auto kernel = bug == Bug::NoFence         ? last_block_sum_kernel<Bug::NoFence>
                      : bug == Bug::NoFenceBehind ? last_block_sum_kernel<Bug::NoFenceBehind>
                      : bug == Bug::NoAtomic      ? last_block_sum_kernel<Bug::NoAtomic>
                      : bug == Bug::EarlyBarrier  ? last_block_sum_kernel<Bug::EarlyBarrier>
                      : bug == Bug::BehindTheEnd  ? last_block_sum_kernel<Bug::BehindTheEnd>
                                                  : last_block_sum_kernel<Bug::None>;
  kernel<<<kGridSumBlocks, kGridSumThreads>>>(x, count, parts, done, total);
}

}  // namespace prospect::emulator::planted
