// Forward copies rows. In backward a warp owns a table row, or 512 columns of it, and sums the gradients of
// its tokens, which the host has sorted; the warps of a block share the runs that are long. No atomics.
#include "kernels/common/cuda_check.h"
#include "kernels/common/row.cuh"
#include "kernels/embedding/embedding.h"

namespace prospect::kernels::cuda {
namespace {

constexpr int kWords = 4;  ///< that a thread copies
constexpr int kMostCopyThreads = 256;

/// Word: what the rows are a whole number of, and begin at multiples of.
template <class Word>
__global__ void __launch_bounds__(kMostCopyThreads)
    embedding_forward_kernel(Word* y, const Word* table, const int32_t* ids, int64_t words, unsigned tiles) {
  const int64_t token = blockIdx.x / tiles;
  const int64_t begin = int64_t{blockIdx.x % tiles} * (kWords * blockDim.x) + threadIdx.x;
  const Word* from = table + ids[token] * words;
  Word* to = y + token * words;
  Word held[kWords];
#pragma unroll
  for (int i = 0; i < kWords; ++i) {
    if (begin + i * blockDim.x < words) held[i] = from[begin + i * blockDim.x];
  }
#pragma unroll
  for (int i = 0; i < kWords; ++i) {
    if (begin + i * blockDim.x < words) to[begin + i * blockDim.x] = held[i];
  }
}

template <class Word, class T>
void copy_rows(const EmbeddingForward<T>& args, Stream stream) {
  const int64_t words = args.columns * static_cast<int64_t>(sizeof(T)) / static_cast<int64_t>(sizeof(Word));
  const int64_t warps = (words + kWarp * kWords - 1) / (kWarp * kWords);
  const auto threads = static_cast<unsigned>(std::min<int64_t>(warps * kWarp, kMostCopyThreads));
  const auto tiles = static_cast<unsigned>((words + threads * kWords - 1) / (threads * kWords));
  embedding_forward_kernel<<<static_cast<unsigned>(args.tokens) * tiles, threads, 0, stream>>>(
      reinterpret_cast<Word*>(args.y), reinterpret_cast<const Word*>(args.table), args.ids, words, tiles);
}

constexpr int kRuns = 8;      ///< of a block, one to a warp
constexpr int kLongRun = 64;  ///< tokens that a warp sums by itself
constexpr int kTileColumns = kWarp * kRowValues;

/// Adds the gradients of the tokens order[begin] to order[end - 1].
template <class T, bool kVectors>
__device__ void add_tokens(const RowSlice<T, kVectors>& slice, const T* dy, int64_t columns,
                           const int32_t* order, int begin, int end, float (&sums)[kRowValues]) {
  constexpr int kTogether = kVectors ? 4 : 1;  // rows that are loaded before the first is added
#pragma unroll kTogether
  for (int i = begin; i < end; ++i) {
    float values[kRowValues];
    slice.load(dy + order[i] * columns, values);
#pragma unroll
    for (int k = 0; k < kRowValues; ++k) sums[k] += values[k];
  }
}

template <class T, bool kVectors>
__global__ void __launch_bounds__(kWarp* kRuns)
    embedding_backward_kernel(EmbeddingBackward<T> args, unsigned tiles) {
  __shared__ float room[kRuns * kTileColumns];
  const int64_t first = int64_t{blockIdx.x / tiles} * kRuns;
  const int64_t column = int64_t{blockIdx.x % tiles} * kTileColumns;
  const RowSlice<T, kVectors> slice{static_cast<int>(std::min<int64_t>(kTileColumns, args.columns - column))};
  const T* dy = args.dy + column;
  const auto put = [&](int begin, float(&sums)[kRowValues]) {
    slice.put(args.dtable + args.ids[args.order[begin]] * args.columns + column, sums, args.dtable_mode);
  };

  const int64_t own = first + threadIdx.y;
  if (own < args.runs && args.starts[own + 1] - args.starts[own] <= kLongRun) {
    float sums[kRowValues] = {};
    add_tokens(slice, dy, args.columns, args.order, args.starts[own], args.starts[own + 1], sums);
    put(args.starts[own], sums);
  }
  for (int64_t run = first; run < std::min(first + kRuns, args.runs); ++run) {
    const int begin = args.starts[run], count = args.starts[run + 1] - begin;
    if (count <= kLongRun) continue;
    const int warp = threadIdx.y;
    float sums[kRowValues] = {};
    add_tokens(slice, dy, args.columns, args.order, begin + static_cast<int>(int64_t{count} * warp / kRuns),
               begin + static_cast<int>(int64_t{count} * (warp + 1) / kRuns), sums);
    TeamStage{room}.add(sums);
    if (warp == 0) put(begin, sums);
  }
}

}  // namespace

template <class T>
void embedding_forward(const EmbeddingForward<T>& args, Stream stream) {
  if (args.tokens == 0 || args.columns == 0) return;
  if (rows_in_vectors<T>(args.columns, {args.y, args.table})) {
    copy_rows<uint4>(args, stream);
  } else {
    copy_rows<std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>(args, stream);
  }
  check(cudaGetLastError(), "embedding_forward");
}

template <class T>
void embedding_backward(const EmbeddingBackward<T>& args, Stream stream) {
  if (args.dtable_mode == GradMode::Ignore || args.columns == 0) return;
  if (args.dtable_mode == GradMode::Overwrite) {
    const size_t bytes = static_cast<size_t>(args.table_rows * args.columns) * sizeof(T);
    check(cudaMemsetAsync(args.dtable, 0, bytes, stream), "embedding_backward");
  }
  if (args.runs == 0) return;
  const bool vectors = rows_in_vectors<T>(args.columns, {args.dtable, args.dy});
  const auto tiles = static_cast<unsigned>((args.columns + kTileColumns - 1) / kTileColumns);
  const auto groups = static_cast<unsigned>((args.runs + kRuns - 1) / kRuns);
  const auto kernel = vectors ? embedding_backward_kernel<T, true> : embedding_backward_kernel<T, false>;
  kernel<<<groups * tiles, dim3(kWarp, kRuns), 0, stream>>>(args, tiles);
  check(cudaGetLastError(), "embedding_backward");
}

template void embedding_forward(const EmbeddingForward<float>&, Stream);
template void embedding_forward(const EmbeddingForward<bf16>&, Stream);
template void embedding_backward(const EmbeddingBackward<float>&, Stream);
template void embedding_backward(const EmbeddingBackward<bf16>&, Stream);

}  // namespace prospect::kernels::cuda
