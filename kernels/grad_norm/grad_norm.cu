// Each block sums the squares of tiles of the range, which are dealt out in turn; one more block adds the
// blocks' sums. In a whole tile each thread has kVectors vectors of 16 bytes under way before it uses the
// first.
#include <cmath>

#include "kernels/common/device_attribute.h"
#include "kernels/common/reduce.cuh"
#include "kernels/common/vector_io.cuh"
#include "kernels/grad_norm/grad_norm.h"

namespace prospect::kernels::cuda {
namespace {

constexpr int kThreads = 256, kVectors = 4;
constexpr int64_t kBlocks = 8;  ///< on a multiprocessor
template <class T>
constexpr int64_t kTile = int64_t{kThreads} * kVectors* kVector<T>;

/// Four chains, so that additions need not wait for each other.
template <class T>
__device__ void add_tile(double (&sums)[kVectors], const T* tile) {
  float g[kVectors][kVector<T>];
#pragma unroll
  for (int j = 0; j < kVectors; ++j) {
    load_vector(tile + (j * kThreads + threadIdx.x) * kVector<T>, g[j]);
  }
#pragma unroll
  for (int k = 0; k < kVector<T>; ++k) {
#pragma unroll
    for (int j = 0; j < kVectors; ++j) {
      const auto value = static_cast<double>(g[j][k]);
      sums[j] += value * value;
    }
  }
}

/// The sum over the block of each thread's `value`, in every thread.
__device__ double total(double value) {
  __shared__ double partial[1][kWarp];
  double sum[1] = {value};
  block_sums(sum, partial);
  return sum[0];
}

/// kAligned: the gradient begins at a multiple of 16 bytes. Tiles are counted from `origin`, which is at one.
template <class T, bool kAligned>
__global__ void __launch_bounds__(kThreads) sum_squares_kernel(GradNorm<T> args, int64_t origin) {
  double sums[kVectors] = {};
  for (int64_t tile = origin + blockIdx.x * kTile<T>; tile < args.end; tile += gridDim.x * kTile<T>) {
    if (kAligned && tile >= args.begin && tile + kTile<T> <= args.end) {
      add_tile(sums, args.gradient + tile);
      continue;
    }
    const int64_t end = std::min(args.end, tile + kTile<T>);
    for (int64_t i = std::max(args.begin, tile) + threadIdx.x; i < end; i += kThreads) {
      const auto value = static_cast<double>(load_one(args.gradient + i));
      sums[0] += value * value;
    }
  }
  const double sum = total((sums[0] + sums[1]) + (sums[2] + sums[3]));
  if (threadIdx.x == 0) args.scratch[blockIdx.x] = sum;
}

template <class T>
__global__ void __launch_bounds__(kThreads) finish_kernel(GradNorm<T> args, int parts) {
  double mine = 0;
  for (int part = threadIdx.x; part < parts; part += kThreads) mine += args.scratch[part];
  const double sum = total(mine);
  if (threadIdx.x != 0) return;
  const double norm = sqrt(sum);
  *args.norm = norm;
  if (!isfinite(sum)) *args.finite = 0;
  *args.clip_factor = clip_factor(norm, args.max_norm);
}

/// So sums depend, in their last bits, on the kind of device.
int64_t most_blocks() {
  return kBlocks * multiprocessors("grad_norm");
}

}  // namespace

template <class T>
void grad_norm(const GradNorm<T>& args, Stream stream) {
  const bool aligned = reinterpret_cast<uintptr_t>(args.gradient) % 16 == 0;
  const int64_t origin = args.begin / kVector<T> * kVector<T>;
  const int64_t tiles = args.begin < args.end ? (args.end - origin + kTile<T> - 1) / kTile<T> : 0;
  const int parts = static_cast<int>(std::min(tiles, most_blocks()));
  const auto kernel = aligned ? sum_squares_kernel<T, true> : sum_squares_kernel<T, false>;
  if (parts > 0) kernel<<<parts, kThreads, 0, stream>>>(args, origin);
  finish_kernel<<<1, kThreads, 0, stream>>>(args, parts);
  check(cudaGetLastError(), "grad_norm");
}

int64_t grad_norm_scratch_bytes() {
  return most_blocks() * static_cast<int64_t>(sizeof(double));
}

template void grad_norm(const GradNorm<float>&, Stream);
template void grad_norm(const GradNorm<bf16>&, Stream);

}  // namespace prospect::kernels::cuda
