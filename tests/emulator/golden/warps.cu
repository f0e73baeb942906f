// Instructions in which the lanes of a warp meet.
#include "tests/emulator/golden/kernels.h"

namespace prospect::emulator::golden {
namespace {

constexpr unsigned kAll = 0xffffffffu;

/// Four warps: whole ones, segments of 16, 8 and 4 lanes.
__device__ int width_of_warp() {
  return 32 >> threadIdx.x / 32;
}

__device__ unsigned shuffle_up(unsigned a, unsigned b) {
  unsigned d, in_range;
  const unsigned clamp = static_cast<unsigned>(32 - width_of_warp()) << 8;
  asm volatile("{\n.reg .pred p;\nshfl.sync.up.b32 %0|p, %2, %3, %4, 0xffffffff;\nselp.b32 %1, 1, 0, p;\n}"
               : "=r"(d), "=r"(in_range)
               : "r"(a), "r"(b), "r"(clamp));
  return d << 1 | in_range;
}
__device__ unsigned shuffle_down(unsigned a, unsigned b) {
  unsigned d, in_range;
  const unsigned clamp = static_cast<unsigned>(32 - width_of_warp()) << 8 | 31;
  asm volatile("{\n.reg .pred p;\nshfl.sync.down.b32 %0|p, %2, %3, %4, 0xffffffff;\nselp.b32 %1, 1, 0, p;\n}"
               : "=r"(d), "=r"(in_range)
               : "r"(a), "r"(b), "r"(clamp));
  return d << 1 | in_range;
}
__device__ unsigned shuffle_butterfly(unsigned a, unsigned b) {
  unsigned d, in_range;
  const unsigned clamp = static_cast<unsigned>(32 - width_of_warp()) << 8 | 31;
  asm volatile("{\n.reg .pred p;\nshfl.sync.bfly.b32 %0|p, %2, %3, %4, 0xffffffff;\nselp.b32 %1, 1, 0, p;\n}"
               : "=r"(d), "=r"(in_range)
               : "r"(a), "r"(b), "r"(clamp));
  return d << 1 | in_range;
}
__device__ unsigned shuffle_index(unsigned a, unsigned b) {
  unsigned d, in_range;
  const unsigned clamp = static_cast<unsigned>(32 - width_of_warp()) << 8 | 31;
  asm volatile("{\n.reg .pred p;\nshfl.sync.idx.b32 %0|p, %2, %3, %4, 0xffffffff;\nselp.b32 %1, 1, 0, p;\n}"
               : "=r"(d), "=r"(in_range)
               : "r"(a), "r"(b), "r"(clamp));
  return d << 1 | in_range;
}
__device__ unsigned votes(unsigned a, unsigned) {
  const bool yes = a % 2 != 0;
  return __ballot_sync(kAll, yes) ^ (__any_sync(kAll, yes) ? 1u : 0) ^ (__all_sync(kAll, yes) ? 2u : 0) ^
         (__any_sync(kAll, a > 128) ? 4u : 0) ^ (__all_sync(kAll, a < 128) ? 8u : 0) ^
         (__uni_sync(kAll, a < 128) ? 16u : 0);
}
__device__ unsigned matches(unsigned a, unsigned) {
  return __match_any_sync(kAll, a % 5);
}
__device__ unsigned reduce_add(unsigned a, unsigned b) {
  return __reduce_add_sync(kAll, a * b);
}
__device__ unsigned reduce_signed(unsigned a, unsigned b) {
  const int value = static_cast<int>(a) - static_cast<int>(b);
  return static_cast<unsigned>(__reduce_min_sync(kAll, value) ^ __reduce_max_sync(kAll, value) << 8);
}
__device__ unsigned reduce_unsigned(unsigned a, unsigned b) {
  return __reduce_min_sync(kAll, a - b) ^ __reduce_max_sync(kAll, a - b) << 8;
}
__device__ unsigned reduce_bits(unsigned a, unsigned b) {
  return __reduce_and_sync(kAll, a | b << 8) ^ __reduce_or_sync(kAll, a << 16) ^
         __reduce_xor_sync(kAll, b << 24);
}

template <unsigned (*apply)(unsigned, unsigned)>
__global__ void meet_kernel(const uint32_t* in, uint32_t* out) {
  out[threadIdx.x] = apply(in[threadIdx.x], in[kThreads + threadIdx.x]);
}
template <unsigned (*apply)(unsigned, unsigned)>
void meet(const uint32_t* in, uint32_t* out) {
  meet_kernel<apply><<<1, kThreads>>>(in, out);
}
template <unsigned (*apply)(unsigned, unsigned)>
constexpr Launcher of(const char* name) {
  return {name, Operands::Words, 2 * kThreads, kThreads, {}, meet<apply>};
}

/// Additions to memory: each thread to a word of its own, where they are rounded as nowhere else.
__global__ void add_kernel(const uint32_t* in, uint32_t* out) {
  __shared__ float sums[kThreads];
  const int t = threadIdx.x;
  const float a = __uint_as_float(in[t]), b = __uint_as_float(in[kThreads + t]);
  sums[t] = a;
  atomicAdd(&sums[t], b);
  out[t] = __float_as_uint(sums[t]);
  auto* global = reinterpret_cast<float*>(out) + kThreads;
  global[t] = a;
  const float before = atomicAdd(&global[t], b);
  out[2 * kThreads + t] = __float_as_uint(before);
}
void add(const uint32_t* in, uint32_t* out) {
  add_kernel<<<1, kThreads>>>(in, out);
}

constexpr Launcher kInstructions[] = {
    of<shuffle_up>("shfl.sync.up.b32"),
    of<shuffle_down>("shfl.sync.down.b32"),
    of<shuffle_butterfly>("shfl.sync.bfly.b32"),
    of<shuffle_index>("shfl.sync.idx.b32"),
    of<votes>("vote.sync"),
    of<matches>("match.any.sync.b32"),
    of<reduce_add>("redux.sync.add.u32"),
    of<reduce_signed>("redux.sync.min_max.s32"),
    of<reduce_unsigned>("redux.sync.min_max.u32"),
    of<reduce_bits>("redux.sync.bits.b32"),
    {"atom.add.f32", Operands::Floats, 2 * kThreads, 3 * kThreads, {Agreement::Numbers}, add},
};

}  // namespace

std::span<const Launcher> warp_instructions() {
  return kInstructions;
}

}  // namespace prospect::emulator::golden
