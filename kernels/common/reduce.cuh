#pragma once

/// Sums over a warp and over a block, in an order that depends on the number of threads alone.
namespace prospect::kernels::cuda {

inline constexpr int kWarp = 32;

/// The sum over the 32 lanes, in every lane. Requires: the whole warp takes part.
template <class C>
__device__ inline C warp_sum(C value) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  }
  return value;
}

/// The sum over groups of `lanes` neighbouring lanes, a power of 2, in each of them. Requires: the whole warp
/// takes part.
template <class C>
__device__ inline C lane_sum(C value, int lanes) {
  for (int distance = lanes / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  }
  return value;
}

/// Sums of kCount values over the block, in every thread; one barrier. Requires: whole warps, at most 32, all
/// of which take part. `partial` may be used again after one more barrier of the block.
template <class C, int kCount>
__device__ void block_sums(C (&values)[kCount], C (&partial)[kCount][kWarp]) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    values[i] = warp_sum(values[i]);
    if (lane == 0) partial[i][warp] = values[i];
  }
  __syncthreads();
  const bool present = lane < blockDim.x / kWarp;
#pragma unroll
  for (int i = 0; i < kCount; ++i) values[i] = warp_sum(present ? partial[i][lane] : C{0});
}

}  // namespace prospect::kernels::cuda
