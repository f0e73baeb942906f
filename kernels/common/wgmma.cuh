#pragma once

#include "kernels/common/wgmma_products.cuh"

/// Products on a warpgroup's tensor cores (wgmma), compute capability 9.0a. Four warps issue them together;
/// they run asynchronously, in groups that complete in order.
namespace prospect::kernels::cuda::ptx {

/// Before the first product of a batch, and whenever other instructions have written its accumulators or A
/// registers.
__device__ inline void begin_products() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
/// Closes a group.
__device__ inline void commit_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Waits until at most kPending groups, the youngest, are under way.
template <int kPending>
__device__ inline void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
/// Keeps the compiler from moving what touches these registers over this place: before begin_products and
/// behind wait_for_products, for accumulators and A registers.
template <int kCount>
__device__ inline void pin(float (&values)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(values[i])::"memory");
}
template <int kCount>
__device__ inline void pin(uint32_t (&values)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+r"(values[i])::"memory");
}

/// How a matrix of bf16 lies in shared memory, in panels of 128-byte rows permuted as
/// CU_TENSOR_MAP_SWIZZLE_128B does, each at a multiple of 1024 bytes. stride: bytes from 8 rows to the next
/// 8, 1024 in such panels; leading: of a transposed matrix, bytes from one panel of 64 columns to the next.
/// Moving 16 elements along a row adds 32 bytes. Source: PTX ISA, "Matrix Descriptor Format".
__device__ inline uint64_t matrix_descriptor(uint32_t address, uint32_t leading, uint32_t stride) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62;
  return kSwizzle128 | static_cast<uint64_t>(stride >> 4) << 32 | static_cast<uint64_t>(leading >> 4) << 16 |
         (address & 0x3ffff) >> 4;
}

}  // namespace prospect::kernels::cuda::ptx
