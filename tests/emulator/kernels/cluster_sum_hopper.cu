// Each block writes its sum to the first block's shared memory; the first one also reads every block's count.
#include <cuda_runtime.h>

#include "kernels/common/hopper.cuh"
#include "kernels/common/reduce.cuh"
#include "tests/emulator/kernels/cluster_sum.h"

namespace prospect::emulator::planted {
namespace {

using namespace kernels::cuda;  // NOLINT
using Bug = ClusterSumBug;

__device__ void cluster_barrier() {
  ptx::arrive_at_cluster();
  ptx::wait_for_cluster();
}

template <Bug bug>
__global__ void cluster_sum_kernel(const float* x, float* total) {
  __shared__ float sums[kClusterSumBlocks], partial[1][kWarp], count;
  const uint32_t rank = ptx::cluster_rank();
  if (threadIdx.x == 0) count = blockDim.x;
  if (bug != Bug::NoFirstBarrier) cluster_barrier();
  float sum[1] = {x[blockIdx.x * blockDim.x + threadIdx.x]};
  block_sums(sum, partial);
  if (threadIdx.x == 0)
    ptx::store_in_cluster(ptx::cluster_address(ptx::shared_address(&sums[rank]), 0), sum[0]);
  if (bug != Bug::NoSecondBarrier) cluster_barrier();
  if (rank == 0 && threadIdx.x == 0) {
    float all = 0, counted = 0;
    for (uint32_t i = 0; i < ptx::cluster_size(); ++i) {
      all += sums[i];
      counted += ptx::load_in_cluster(ptx::cluster_address(ptx::shared_address(&count), i));
    }
    total[blockIdx.x / kClusterSumBlocks] = counted == kClusterSumBlocks * kClusterSumThreads ? all : -1;
  }
  if (bug != Bug::NoLastBarrier) cluster_barrier();
}

template <Bug bug>
void launch(const float* x, unsigned clusters, float* total) {
  cudaLaunchAttribute attribute;
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {kClusterSumBlocks, 1, 1};
  cudaLaunchConfig_t config = {};
  config.gridDim = clusters * kClusterSumBlocks;
  config.blockDim = kClusterSumThreads;
  config.attrs = &attribute;
  config.numAttrs = 1;
  cudaLaunchKernelEx(&config, cluster_sum_kernel<bug>, x, total);
}

}  // namespace

void cluster_sum(const float* x, unsigned clusters, float* total, Bug bug) {
  switch (bug) {
    case Bug::None:
      return launch<Bug::None>(x, clusters, total);
    case Bug::NoFirstBarrier:
      return launch<Bug::NoFirstBarrier>(x, clusters, total);
    case Bug::NoSecondBarrier:
      return launch<Bug::NoSecondBarrier>(x, clusters, total);
    case Bug::NoLastBarrier:
      return launch<Bug::NoLastBarrier>(x, clusters, total);
  }
}

}  // namespace prospect::emulator::planted
