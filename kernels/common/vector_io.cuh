#pragma once

#include "kernels/common/bf16.h"
#include "kernels/common/ptx.cuh"

/// Values in memory, as float in registers: one by one, or as many as 16 bytes hold.
namespace prospect::kernels::cuda {

template <class T>
inline constexpr int kVector = 16 / static_cast<int>(sizeof(T));

__device__ inline float load_one(const float* from) {
  return *from;
}
__device__ inline float load_one(const bf16* from) {
  return __uint_as_float(static_cast<uint32_t>(from->bits) << 16);
}
__device__ inline void store_one(float* to, float value) {
  *to = value;
}
__device__ inline void store_one(bf16* to, float value) {
  to->bits = ptx::round_to_bf16(value);
}

/// Requires: `from` is a multiple of 16 bytes.
__device__ inline void load_vector(const float* from, float* values) {
  const float4 raw = *reinterpret_cast<const float4*>(from);
  values[0] = raw.x, values[1] = raw.y, values[2] = raw.z, values[3] = raw.w;
}
__device__ inline void load_vector(const bf16* from, float* values) {
  const uint4 raw = *reinterpret_cast<const uint4*>(from);
  const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    values[2 * i] = __uint_as_float(words[i] << 16);
    values[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
  }
}

/// Requires: `to` is a multiple of 16 bytes.
__device__ inline void store_vector(float* to, const float* values) {
  *reinterpret_cast<float4*>(to) = make_float4(values[0], values[1], values[2], values[3]);
}
__device__ inline void store_vector(bf16* to, const float* values) {
  *reinterpret_cast<uint4*>(to) =
      make_uint4(ptx::round_to_bf16x2(values[0], values[1]), ptx::round_to_bf16x2(values[2], values[3]),
                 ptx::round_to_bf16x2(values[4], values[5]), ptx::round_to_bf16x2(values[6], values[7]));
}

}  // namespace prospect::kernels::cuda
