#pragma once

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "kernels/common/reduce.cuh"
#include "kernels/common/vector_io.cuh"
#include "kernels/log_softmax_gather/log_softmax_gather.h"

/// What a block does with a row of logits.
namespace prospect::kernels::cuda::softmax_row {

inline constexpr int kWidth = 4, kVectors = 4;  ///< of a vector; of those under way in a thread
inline constexpr int kGroup = kWidth * kVectors;
inline constexpr int kMostThreads = 512;

inline constexpr float kLog2E = 0x1.715476p+0f;
/// 2^(kVanished log2(e)) is 0; clamping keeps 0 * -inf out of the entropy.
inline constexpr float kVanished = -1000;

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
inline constexpr int kAlign = 16;
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

/// What this thread sees of a row, in global or shared memory.
__device__ inline RowSums thread_sums(const float* row, int columns) {
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

/// Threads of a block that takes the statistics of a row: whole warps.
inline int statistics_threads(int64_t columns) {
  const int64_t warps = (columns + kGroup * kWarp - 1) / (kGroup * kWarp);
  return static_cast<int>(std::clamp<int64_t>(warps, 1, kMostThreads / kWarp)) * kWarp;
}

/// Writes the statistics of a row whose logits lie at x, at the place modulo kAlign elements that they have
/// in args.logits. Takes statistics_threads; `of_warp` may be used again after one more barrier.
__device__ inline void write_statistics(const LogSoftmaxGatherForward<float>& args, int64_t row,
                                        const float* x, RowSums (&of_warp)[kWarp]) {
  const int columns = static_cast<int>(args.columns), lane = threadIdx.x % kWarp;
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

/// Writes block `part` of `parts`'s share of a row's gradient, from logits at x. kThreads: of a block; 0
/// where that is not known before.
template <bool kTogether, int kThreads, class T>
__device__ void write_gradient(const LogSoftmaxGatherBackward<T>& args, int64_t row, const float* x, int part,
                               int parts) {
  const int columns = static_cast<int>(args.columns), threads = kThreads > 0 ? kThreads : blockDim.x,
            stride = threads * kWidth;
  T* gradient = args.gradient + row * args.stride;
  const RowGradient of{args.log_sum_exp[row], args.row_slopes[row], args.targets[row]};
  const RowParts row_is = row_parts<kTogether>(gradient, columns);
  for (int begin = row_is.head + part * kVectors * stride + threadIdx.x * kWidth; begin < row_is.tail();
       begin += parts * kVectors * stride) {
    float values[kGroup] = {};
#pragma unroll
    for (int j = 0; j < kVectors; ++j) {
      if (begin + j * stride < row_is.tail()) load_four(x + begin + j * stride, values + j * kWidth);
    }
    of.apply(values, begin, stride);
#pragma unroll
    for (int j = 0; j < kVectors; ++j) {
      if (begin + j * stride < row_is.tail()) store_four(gradient + begin + j * stride, values + j * kWidth);
    }
  }
  const auto one_by_one = [&](int begin, int end) {
    for (int c = begin + part * threads + threadIdx.x; c < end; c += parts * threads) {
      float value[1] = {x[c]};
      of.apply(value, c, 0);
      store_one(gradient + c, value[0]);
    }
  };
  one_by_one(0, row_is.head);
  one_by_one(row_is.tail(), columns);
}

/// Whether logits and gradients have vectors in common (kTogether).
template <class T>
bool together(const LogSoftmaxGatherBackward<T>& args) {
  return (place_of(args.logits) - place_of(args.gradient)) % kAlign == 0;
}

}  // namespace prospect::kernels::cuda::softmax_row
