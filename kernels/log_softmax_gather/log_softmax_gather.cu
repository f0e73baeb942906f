// Forward: one block a row, which it reads once: every thread keeps the largest logit it has seen and sums
// relative to it, which shrink when a larger one comes. Backward: a block has one part of a row, each thread
// kVectors vectors of it, which are all under way before it uses the first.
#include <cfloat>
#include <cmath>

#include "kernels/common/cuda_check.h"
#include "kernels/common/reduce.cuh"
#include "kernels/common/vector_io.cuh"
#include "kernels/log_softmax_gather/log_softmax_gather.h"

namespace prospect::kernels::cuda {
namespace {

constexpr int kWidth = 4, kVectors = 4;
constexpr int kMostThreads = 512, kBackwardThreads = 256;
constexpr int kGroup = kWidth * kVectors;

constexpr float kLog2E = 0x1.715476p+0f;
/// 2^(kVanished log2(e)) is 0; clamping keeps 0 * -inf out of the entropy.
constexpr float kVanished = -1000;

/// Where an array lies in memory, in elements.
template <class T>
__host__ __device__ uint64_t place_of(const T* array) {
  return reinterpret_cast<uintptr_t>(array) / sizeof(T);
}

/// Rows need not begin at vectors. `head` elements one by one lead to a place where vectors of either type
/// begin at multiples of 32 bytes, so that a warp's accesses are whole sectors; then come `vectors` of four;
/// the rest of the row one by one.
struct RowParts {
  int head, vectors;
  __device__ int tail() const { return head + vectors * kWidth; }
};

/// Where logits and gradients are not kTogether, at places that differ by a multiple of kAlign elements,
/// they have no such vectors in common: the row is all head.
constexpr int kAlign = 16;
template <bool kTogether, class T>
__device__ RowParts row_parts(const T* row, int columns) {
  if (!kTogether) return {columns, 0};
  const int head = std::min(columns, static_cast<int>(-place_of(row) % kAlign));
  return {head, (columns - head) / kWidth};
}

/// What a thread, a warp or a block knows of a row.
struct alignas(16) RowSums {
  float largest;
  float exponentials;  ///< sum of e = exp(x - largest)
  float weighted;      ///< sum of e * (x - largest)
  float total;         ///< sum of x

  __device__ static RowSums of_nothing() { return {-FLT_MAX, 0, 0, 0}; }

  /// Takes the sums relative to a logit that is at least as large.
  __device__ void raise(float to) {
    const float fall = ptx::max_or_nan(largest - to, kVanished);
    const float scale = ptx::exp2_approximate(fall * kLog2E);
    weighted = (weighted + exponentials * fall) * scale;
    exponentials *= scale;
    largest = to;
  }

  template <int kCount>
  __device__ void add(const float (&x)[kCount]) {
    float most = x[0];
#pragma unroll
    for (int i = 1; i < kCount; ++i) most = fmaxf(most, x[i]);
    raise(fmaxf(largest, most));
    float part_exponentials = 0, part_weighted = 0, part_total = 0;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float below = ptx::max_or_nan(x[i] - largest, kVanished);
      const float e = ptx::exp2_approximate(below * kLog2E);
      part_exponentials += e;
      part_weighted += e * below;
      part_total += x[i];
    }
    exponentials += part_exponentials;
    weighted += part_weighted;
    total += part_total;
  }

  __device__ void join(RowSums other) {
    const float to = fmaxf(largest, other.largest);
    raise(to);
    other.raise(to);
    exponentials += other.exponentials;
    weighted += other.weighted;
    total += other.total;
  }
  __device__ void join_lanes() {
#pragma unroll
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
      join({__shfl_xor_sync(0xffffffffu, largest, distance),
            __shfl_xor_sync(0xffffffffu, exponentials, distance),
            __shfl_xor_sync(0xffffffffu, weighted, distance), __shfl_xor_sync(0xffffffffu, total, distance)});
    }
  }
};

/// What this thread sees of a row.
__device__ RowSums thread_sums(const float* row, int columns) {
  const int threads = blockDim.x;
  const RowParts parts = row_parts<true>(row, columns);
  const float* body = row + parts.head;
  RowSums sums = RowSums::of_nothing();
  int vector = threadIdx.x;
  for (; vector + (kVectors - 1) * threads < parts.vectors; vector += kVectors * threads) {
    float x[kGroup];
#pragma unroll
    for (int j = 0; j < kVectors; ++j) load_four(body + (vector + j * threads) * kWidth, x + j * kWidth);
    sums.add(x);
  }
  for (; vector < parts.vectors; vector += threads) {
    float x[kWidth];
    load_four(body + vector * kWidth, x);
    sums.add(x);
  }
  for (int c = threadIdx.x; c < parts.head; c += threads) sums.add({row[c]});
  for (int c = parts.tail() + threadIdx.x; c < columns; c += threads) sums.add({row[c]});
  return sums;
}

__global__ void __launch_bounds__(kMostThreads, 2)
    log_softmax_gather_forward_kernel(LogSoftmaxGatherForward<float> args) {
  __shared__ RowSums of_warp[kWarp];
  const int columns = static_cast<int>(args.columns), lane = threadIdx.x % kWarp;
  const int64_t row = blockIdx.x;
  const float* x = args.logits + row * args.columns;

  RowSums sums = thread_sums(x, columns);
  sums.join_lanes();
  if (lane == 0) of_warp[threadIdx.x / kWarp] = sums;
  __syncthreads();
  if (threadIdx.x >= kWarp) return;
  sums = lane < blockDim.x / kWarp ? of_warp[lane] : RowSums::of_nothing();
  sums.join_lanes();
  if (lane != 0) return;

  // A row of nothing but -inf has no distribution.
  const double exponentials = sums.exponentials > 0 ? sums.exponentials : NAN;
  const double log_sum = log(exponentials);
  const int target = args.targets[row];
  const double at_target = target >= 0 && target < columns ? x[target] : NAN;
  args.log_probabilities[row] = static_cast<float>(at_target - sums.largest - log_sum);
  args.log_sum_exp[row] = static_cast<float>(sums.largest + log_sum);
  args.entropies[row] = static_cast<float>(log_sum - sums.weighted / exponentials);
  args.logit_means[row] = static_cast<float>(static_cast<double>(sums.total) / columns);
}

/// Turns logits of a row into their gradients.
struct RowGradient {
  float log_sum_exp, slope;
  int target;

  /// x: runs of kWidth neighbours, the first of column `column`, the next `stride` columns on.
  template <int kCount>
  __device__ void apply(float (&x)[kCount], int column, int stride) const {
    const int place = target - column;
    float at_target = 0;
    bool has_target = false;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float below = x[i] - log_sum_exp;
      if (i / kWidth * stride + i % kWidth == place) at_target = below, has_target = true;
      x[i] = -slope * ptx::exp2_approximate(below * kLog2E);
    }
    if (!has_target) return;
    // expm1 keeps the digits of 1 - p where the target is almost certain.
    at_target = -slope * expm1f(at_target);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (i / kWidth * stride + i % kWidth == place) x[i] = at_target;
    }
  }
};

template <class T, bool kTogether>
__global__ void __launch_bounds__(kBackwardThreads)
    log_softmax_gather_backward_kernel(LogSoftmaxGatherBackward<T> args) {
  constexpr int kStride = kBackwardThreads * kWidth;
  const int columns = static_cast<int>(args.columns);
  const int64_t row = blockIdx.x;
  const float* logits = args.logits + row * args.columns;
  T* gradient = args.gradient + row * args.columns;
  const RowGradient of{args.log_sum_exp[row], args.row_slopes[row], args.targets[row]};
  const RowParts parts = row_parts<kTogether>(gradient, columns);

  for (int begin = parts.head + blockIdx.y * kVectors * kStride + threadIdx.x * kWidth; begin < parts.tail();
       begin += gridDim.y * kVectors * kStride) {
    float x[kGroup] = {};
#pragma unroll
    for (int j = 0; j < kVectors; ++j) {
      if (begin + j * kStride < parts.tail()) load_four(logits + begin + j * kStride, x + j * kWidth);
    }
    of.apply(x, begin, kStride);
#pragma unroll
    for (int j = 0; j < kVectors; ++j) {
      if (begin + j * kStride < parts.tail()) store_four(gradient + begin + j * kStride, x + j * kWidth);
    }
  }
  const auto one_by_one = [&](int begin, int end) {
    for (int c = begin + blockIdx.y * kBackwardThreads + threadIdx.x; c < end;
         c += gridDim.y * kBackwardThreads) {
      float x[1] = {logits[c]};
      of.apply(x, c, 0);
      store_one(gradient + c, x[0]);
    }
  };
  one_by_one(0, parts.head);
  one_by_one(parts.tail(), columns);
}

}  // namespace

void log_softmax_gather_forward(const LogSoftmaxGatherForward<float>& args, Stream stream) {
  if (args.rows == 0) return;
  const int64_t warps = (args.columns + kGroup * kWarp - 1) / (kGroup * kWarp);
  const int threads = static_cast<int>(std::clamp<int64_t>(warps * kWarp, kWarp, kMostThreads));
  const auto blocks = static_cast<unsigned>(args.rows);
  log_softmax_gather_forward_kernel<<<blocks, threads, 0, stream>>>(args);
  check(cudaGetLastError(), "log_softmax_gather_forward");
}

template <class T>
void log_softmax_gather_backward(const LogSoftmaxGatherBackward<T>& args, Stream stream) {
  if (args.rows == 0) return;
  constexpr int64_t kPart = kBackwardThreads * kGroup;
  const dim3 blocks(static_cast<unsigned>(args.rows),
                    static_cast<unsigned>(std::clamp<int64_t>((args.columns + kPart - 1) / kPart, 1, 65535)));
  const bool together = (place_of(args.logits) - place_of(args.gradient)) % kAlign == 0;
  const auto kernel =
      together ? log_softmax_gather_backward_kernel<T, true> : log_softmax_gather_backward_kernel<T, false>;
  kernel<<<blocks, kBackwardThreads, 0, stream>>>(args);
  check(cudaGetLastError(), "log_softmax_gather_backward");
}

template void log_softmax_gather_backward(const LogSoftmaxGatherBackward<float>&, Stream);
template void log_softmax_gather_backward(const LogSoftmaxGatherBackward<bf16>&, Stream);

}  // namespace prospect::kernels::cuda
