// One block takes kTile neighbouring elements. In a whole tile each thread has kVectors vectors of four
// elements of every array under way before it uses the first; neighbouring threads hold neighbouring vectors.
#include <algorithm>

#include "kernels/adamw/adamw_step.h"
#include "kernels/common/cuda_check.h"
#include "kernels/common/vector_io.cuh"

namespace prospect::kernels::cuda {
namespace {

constexpr int kThreads = 256, kVectors = 4, kWidth = 4;
constexpr int64_t kTile = int64_t{kThreads} * kVectors * kWidth;

/// Where the unrounded parameters lie.
__device__ float* exact(const AdamW<float>& args) {
  return args.parameter;
}
__device__ float* exact(const AdamW<bf16>& args) {
  return args.master;
}
/// The copy that products read; the exact ones are that themselves in float.
__device__ void publish(const AdamW<float>&, int64_t, const float (&)[kWidth]) {}
__device__ void publish(const AdamW<bf16>& args, int64_t i, const float (&p)[kWidth]) {
  store_four(args.parameter + i, p);
}
__device__ void publish(const AdamW<float>&, int64_t, float) {}
__device__ void publish(const AdamW<bf16>& args, int64_t i, float p) {
  store_one(args.parameter + i, p);
}

template <class T>
__device__ void update_tile(const AdamW<T>& args, const AdamWScalars<float>& by, float clip, int64_t begin) {
  float p[kVectors][kWidth], m[kVectors][kWidth], v[kVectors][kWidth], g[kVectors][kWidth];
  const int64_t first = begin + static_cast<int>(threadIdx.x) * kWidth;
#pragma unroll
  for (int j = 0; j < kVectors; ++j) {
    const int64_t i = first + j * kThreads * kWidth;
    load_four(args.gradient + i, g[j]);
    load_four(args.first_moment + i, m[j]);
    load_four(args.second_moment + i, v[j]);
    load_four(exact(args) + i, p[j]);
  }
#pragma unroll
  for (int j = 0; j < kVectors; ++j) {
#pragma unroll
    for (int k = 0; k < kWidth; ++k) adamw_element(p[j][k], m[j][k], v[j][k], g[j][k] * clip, by);
  }
#pragma unroll
  for (int j = 0; j < kVectors; ++j) {
    const int64_t i = first + j * kThreads * kWidth;
    store_four(args.first_moment + i, m[j]);
    store_four(args.second_moment + i, v[j]);
    store_four(exact(args) + i, p[j]);
    publish(args, i, p[j]);
  }
}

template <class T>
__device__ void update_one(const AdamW<T>& args, const AdamWScalars<float>& by, float clip, int64_t i) {
  float p = exact(args)[i], m = args.first_moment[i], v = args.second_moment[i];
  adamw_element(p, m, v, load_one(args.gradient + i) * clip, by);
  args.first_moment[i] = m;
  args.second_moment[i] = v;
  exact(args)[i] = p;
  publish(args, i, p);
}

/// kAligned: all arenas begin at multiples of a vector. Tiles are counted from `origin`, which is one too.
template <class T, bool kAligned>
__global__ void __launch_bounds__(kThreads, 2)
    adamw_kernel(AdamW<T> args, AdamWScalars<float> by, int64_t origin) {
  if (args.finite && *args.finite == 0) return;
  const float clip = args.clip_factor ? static_cast<float>(*args.clip_factor) : 1.0f;
  const int64_t tile = origin + blockIdx.x * kTile;
  if (kAligned && tile >= args.begin && tile + kTile <= args.end) {
    update_tile(args, by, clip, tile);
    return;
  }
  const int64_t end = std::min(args.end, tile + kTile);
  for (int64_t i = std::max(args.begin, tile) + threadIdx.x; i < end; i += kThreads) {
    update_one(args, by, clip, i);
  }
}

}  // namespace

template <class T>
void adamw(const AdamW<T>& args, Stream stream) {
  if (sizeof(T) < sizeof(float) ? args.master == nullptr : args.master != nullptr) {
    throw Error(ExitCode::Bug, "adamw: master weights are for rounded parameters, and only these");
  }
  if (args.step < 1 || !(args.epsilon > 0)) {
    throw Error(ExitCode::Bug, "adamw: step and epsilon must be positive");
  }
  if (args.begin >= args.end) return;
  const bool aligned = in_fours<T>({args.parameter, args.gradient}) &&
                       in_fours<float>({args.master, args.first_moment, args.second_moment});
  const int64_t origin = args.begin / kWidth * kWidth;
  const auto blocks = static_cast<unsigned>((args.end - origin + kTile - 1) / kTile);
  const auto kernel = aligned ? adamw_kernel<T, true> : adamw_kernel<T, false>;
  kernel<<<blocks, kThreads, 0, stream>>>(args, adamw_scalars(args), origin);
  check(cudaGetLastError(), "adamw");
}

template void adamw(const AdamW<float>&, Stream);
template void adamw(const AdamW<bf16>&, Stream);

}  // namespace prospect::kernels::cuda
