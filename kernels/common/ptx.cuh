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

}  // namespace prospect::kernels::cuda::ptx
