// A block takes a few consecutive tokens: it puts their cosines and sines in shared memory, then passes their
// rows through once, a vector of a head's first half and its partner in the second half at a time.
#include "kernels/common/cuda_check.h"
#include "kernels/common/fast_math.h"
#include "kernels/common/vector_io.cuh"
#include "kernels/rotary/rotary.h"

namespace prospect::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kTokens = 4;  ///< of a block: as many angles as threads, where half a head has 64
constexpr int64_t kLongestHead = 2048;

template <class T>
struct Rotation {
  T* y;
  const T* x;
  GradMode mode;
  float direction;  ///< 1 or -1, the sense of rotation
  RotaryRows<T> rows;
};

/// Where half a head's cosines lie: fours of neighbours, the first of every vector, then the second, so that
/// lanes with neighbouring vectors read neighbouring fours.
template <class T, bool kVectors>
struct TableOrder {
  static constexpr int kCount = kVectors ? kVector<T> : 1;
  int vectors;  ///< of half a head

  /// The element at a place of the table.
  __device__ int element(int place) const {
    if constexpr (kCount <= 4) return place;
    const int four = place / 4;
    return four % vectors * kCount + four / vectors * 4 + place % 4;
  }
  __device__ void load(const float* table, int vector, float (&values)[kCount]) const {
    if constexpr (kCount == 1) {
      values[0] = table[vector];
    } else {
#pragma unroll
      for (int i = 0; i < kCount; i += 4) {
        load_vector(table + (i / 4 * vectors + vector) * 4, values + i);
      }
    }
  }
};

/// Cosines, then sines, of `tokens` tokens from `first` on: [tokens, 2, head_dim / 2] in the table's order.
template <class T, bool kVectors>
__device__ void fill_table(const Rotation<T>& args, TableOrder<T, kVectors> order, int64_t first, int tokens,
                           float* table) {
  const int half = static_cast<int>(args.rows.head_dim / 2);
  for (int i = threadIdx.x; i < tokens * half; i += blockDim.x) {
    const int token = i / half, place = i % half;
    const double position = args.rows.positions[first + token];
    const double frequency = args.rows.inverse_frequencies[order.element(place)];
    const auto [sine, cosine] = fast_sine_cosine<float>(position * frequency);
    table[token * 2 * half + place] = cosine;
    table[token * 2 * half + half + place] = args.direction * sine;
  }
}

template <class T, bool kVectors>
__global__ void __launch_bounds__(kThreads) rotary_kernel(Rotation<T> args) {
  extern __shared__ float4 room[];
  float* table = reinterpret_cast<float*>(room);
  constexpr int kCount = TableOrder<T, kVectors>::kCount;
  const int size = static_cast<int>(args.rows.head_dim), half = size / 2;
  const TableOrder<T, kVectors> order{half / kCount};
  const int64_t first = int64_t{blockIdx.x} * kTokens;
  const int tokens = static_cast<int>(std::min<int64_t>(kTokens, args.rows.tokens - first));
  fill_table(args, order, first, tokens, table);
  __syncthreads();

  const int rotated = static_cast<int>(args.rows.heads + args.rows.kv_heads);
  const int passed = static_cast<int>(args.rows.kv_heads) * size;
  const int64_t columns = int64_t{rotated} * size + passed;
  const T* x = args.x + first * columns;
  T* y = args.y + first * columns;
  for (unsigned i = threadIdx.x; i < static_cast<unsigned>(tokens * rotated * order.vectors); i += kThreads) {
    const unsigned vector = i % order.vectors, head = i / order.vectors % rotated,
                   token = i / order.vectors / rotated;
    const int64_t at = token * columns + head * size + vector * kCount;
    float low[kCount], high[kCount], cosines[kCount], sines[kCount];
    load_piece(x + at, low);
    load_piece(x + at + half, high);
    order.load(table + token * size, vector, cosines);
    order.load(table + token * size + half, vector, sines);
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      const float value = low[k];
      low[k] = value * cosines[k] - high[k] * sines[k];
      high[k] = high[k] * cosines[k] + value * sines[k];
    }
    put_piece(y + at, low, args.mode);
    put_piece(y + at + half, high, args.mode);
  }
  for (unsigned i = threadIdx.x; i < static_cast<unsigned>(tokens * passed / kCount); i += kThreads) {
    const unsigned row = i * kCount / passed;
    const int64_t at = row * columns + rotated * size + (i * kCount - row * passed);
    float values[kCount];
    load_piece(x + at, values);
    put_piece(y + at, values, args.mode);
  }
}

template <class T>
void rotate(const Rotation<T>& args, Stream stream, const char* name) {
  const RotaryRows<T>& rows = args.rows;
  if (rows.tokens == 0 || rows.head_dim == 0) return;
  if (rows.head_dim > kLongestHead) {
    throw Error(ExitCode::BadConfig, std::string(name) + ": heads of " + std::to_string(rows.head_dim) +
                                         " elements; on CUDA at most " + std::to_string(kLongestHead));
  }
  const bool vectors = rows_in_vectors<T>(rows.head_dim / 2, {args.x, args.y});
  const auto kernel = vectors ? rotary_kernel<T, true> : rotary_kernel<T, false>;
  const auto blocks = static_cast<unsigned>((rows.tokens + kTokens - 1) / kTokens);
  const size_t bytes = kTokens * static_cast<size_t>(rows.head_dim) * sizeof(float);
  kernel<<<blocks, kThreads, bytes, stream>>>(args);
  check(cudaGetLastError(), name);
}

}  // namespace

template <class T>
void rotary_forward(const RotaryForward<T>& args, Stream stream) {
  rotate<T>({args.y, args.x, GradMode::Overwrite, 1, args.rows}, stream, "rotary_forward");
}

template <class T>
void rotary_backward(const RotaryBackward<T>& args, Stream stream) {
  if (args.dx_mode == GradMode::Ignore) return;
  rotate<T>({args.dx, args.dy, args.dx_mode, -1, args.rows}, stream, "rotary_backward");
}

template void rotary_forward(const RotaryForward<float>&, Stream);
template void rotary_forward(const RotaryForward<bf16>&, Stream);
template void rotary_backward(const RotaryBackward<float>&, Stream);
template void rotary_backward(const RotaryBackward<bf16>&, Stream);

}  // namespace prospect::kernels::cuda
