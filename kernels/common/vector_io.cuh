#pragma once

#include <algorithm>
#include <initializer_list>

#include "kernels/common/bf16.h"
#include "kernels/common/grad_mode.h"
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

/// Requires: `to` is a multiple of 16 bytes, in global memory. The intrinsic stays one instruction, where the
/// compiler may take a plain assignment apart.
__device__ inline void store_vector(float* to, const float* values) {
  __stwb(reinterpret_cast<float4*>(to), make_float4(values[0], values[1], values[2], values[3]));
}
__device__ inline void store_vector(bf16* to, const float* values) {
  __stwb(reinterpret_cast<uint4*>(to),
         make_uint4(ptx::round_to_bf16x2(values[0], values[1]), ptx::round_to_bf16x2(values[2], values[3]),
                    ptx::round_to_bf16x2(values[4], values[5]), ptx::round_to_bf16x2(values[6], values[7])));
}

/// Whether each array begins where load_four may read. Null pointers do not matter.
template <class T>
bool in_fours(std::initializer_list<const T*> arrays) {
  return std::all_of(arrays.begin(), arrays.end(), [](const T* array) {
    return reinterpret_cast<uintptr_t>(array) % (4 * sizeof(T)) == 0;
  });
}

/// Four values whatever T is, so that the same thread holds the same elements of arrays of both types, and a
/// warp's accesses to each are whole sectors. Requires: the place is a multiple of 4 sizeof(T) bytes.
__device__ inline void load_four(const float* from, float* values) {
  load_vector(from, values);
}
__device__ inline void load_four(const bf16* from, float* values) {
  const uint2 raw = *reinterpret_cast<const uint2*>(from);
  values[0] = __uint_as_float(raw.x << 16), values[1] = __uint_as_float(raw.x & 0xffff0000u);
  values[2] = __uint_as_float(raw.y << 16), values[3] = __uint_as_float(raw.y & 0xffff0000u);
}
__device__ inline void store_four(float* to, const float* values) {
  store_vector(to, values);
}
__device__ inline void store_four(bf16* to, const float* values) {
  __stwb(reinterpret_cast<uint2*>(to),
         make_uint2(ptx::round_to_bf16x2(values[0], values[1]), ptx::round_to_bf16x2(values[2], values[3])));
}

/// Whether every row of `columns` elements of each of these arrays starts at a multiple of 16 bytes. Null
/// pointers do not matter.
template <class T>
bool rows_in_vectors(int64_t columns, std::initializer_list<const T*> arrays) {
  return columns % kVector<T> == 0 && std::all_of(arrays.begin(), arrays.end(), [](const T* array) {
           return reinterpret_cast<uintptr_t>(array) % 16 == 0;
         });
}

/// One value, or a vector of them where kCount is kVector<T>.
template <int kCount, class T>
__device__ void load_piece(const T* from, float (&values)[kCount]) {
  if constexpr (kCount == 1) {
    values[0] = load_one(from);
  } else {
    load_vector(from, values);
  }
}
/// Requires: mode is not Ignore.
template <int kCount, class T>
__device__ void put_piece(T* to, float (&values)[kCount], GradMode mode) {
  if (mode == GradMode::Accumulate) {
    float before[kCount];
    load_piece(to, before);
#pragma unroll
    for (int i = 0; i < kCount; ++i) values[i] += before[i];
  }
  if constexpr (kCount == 1) {
    store_one(to, values[0]);
  } else {
    store_vector(to, values);
  }
}

}  // namespace prospect::kernels::cuda
