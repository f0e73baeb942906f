#pragma once

#include <cstdint>

/// Single instructions that CUDA C++ has no name for, one function each.
namespace prospect::kernels::cuda::ptx {

/// The bits of a float rounded to bfloat16, to nearest, ties to even.
__device__ inline uint16_t round_to_bf16(float value) {
  uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}

/// Two of them in one word.
__device__ inline uint32_t round_to_bf16x2(float low, float high) {
  uint32_t bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}

/// 2^x to within 2 units in the last place; results below the smallest normal number become 0.
__device__ inline float exp2_approximate(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// 1 / x to within 1 unit in the last place; results below the smallest normal number become 0.
__device__ inline float reciprocal_approximate(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// The larger of the two, NaN where one of them is (fmaxf takes the other).
__device__ inline float max_or_nan(float a, float b) {
  float y;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}

/// A barrier of a block that `threads` threads, whole warps, meet at: 1 <= id < 16.
__device__ inline void barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

/// The address of a place in shared memory, as the instructions below take it.
__device__ inline uint32_t shared_address(const void* place) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(place));
}

/// Vectors to shared memory, each one instruction, where the compiler may take a plain assignment apart.
/// Requires: `to` is a multiple of their size.
__device__ inline void store_shared(uint32_t to, float2 values) {
  asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(to), "f"(values.x), "f"(values.y) : "memory");
}
__device__ inline void store_shared(uint32_t to, float4 values) {
  asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(to), "f"(values.x), "f"(values.y),
               "f"(values.z), "f"(values.w)
               : "memory");
}

/// Begins to copy 16 bytes to shared memory, past the first-level cache: the first `bytes` of them (0 or 16
/// where rows end at vectors) from global memory, the others zeros. Requires: both places are multiples of 16
/// bytes.
__device__ inline void copy_async(uint32_t to, const void* from, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(__cvta_generic_to_global(from)),
               "r"(bytes)
               : "memory");
}
/// As copy_async, 4 bytes through the first-level cache, or 4 zeros where `bytes` is 0.
__device__ inline void copy_async_word(uint32_t to, const void* from, int bytes) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(__cvta_generic_to_global(from)),
               "r"(bytes)
               : "memory");
}
/// Closes a group of the copies begun since the last one.
__device__ inline void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Waits until at most kPending of this thread's groups, the youngest, are under way. Other threads' copies
/// need a barrier behind it.
template <int kPending>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

/// Loads four 8 x 8 matrices of 16-bit elements; lane 8j + i gives the address of row i of matrix j. Lane l
/// gets elements 2 (l % 4) and the next of row l / 4 of each; transposed, of column l / 4.
__device__ inline void load_matrices(uint32_t (&fragment)[4], uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
               : "r"(row)
               : "memory");
}
__device__ inline void load_matrices_transposed(uint32_t (&fragment)[4], uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
               : "r"(row)
               : "memory");
}

/// c += a b on the warp's tensor core: a 16 x 16 and b 16 x 8 of bf16, c 16 x 8 of float. With g = lane / 4
/// and t = lane % 4, a[r] holds row g + 8 (r % 2), columns 2t + 8 (r / 2) and the next, the lower one in the
/// low half; b[r] rows 2t + 8r and the next of column g; c[r] row g + 8 (r / 2), column 2t + r % 2. Source:
/// PTX ISA, "Matrix Fragments for mma.m16n8k16".
__device__ inline void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

}  // namespace prospect::kernels::cuda::ptx
