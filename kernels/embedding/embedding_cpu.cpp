#include "kernels/embedding/embedding.h"

#include <algorithm>
#include <numeric>

#include "kernels/common/parallel.h"

namespace prospect::kernels::cpu {

namespace {

constexpr int64_t kStrip = 128;  // columns summed together

/// The gradient of one table row: the sum over the tokens [begin, end) of the order.
template <class T>
void row_gradient(const EmbeddingBackward<T>& args, int64_t begin, int64_t end) {
  using C = compute_t<T>;
  T* to = args.dtable + args.ids[args.order[begin]] * args.columns;
  for (int64_t first = 0; first < args.columns; first += kStrip) {
    const int64_t width = std::min(kStrip, args.columns - first);
    C sums[kStrip] = {};
    for (int64_t i = begin; i < end; ++i) {
      const T* dy = args.dy + args.order[i] * args.columns + first;
#pragma omp simd
      for (int64_t c = 0; c < width; ++c) sums[c] += load(dy[c]);
    }
    for (int64_t c = 0; c < width; ++c) put(to[first + c], sums[c], args.dtable_mode);
  }
}

}  // namespace

template <class T>
void embedding_forward(const EmbeddingForward<T>& args) {
  parallel_for(args.tokens, [&](int64_t token) {
    const T* row = args.table + args.ids[token] * args.columns;
    std::copy(row, row + args.columns, args.y + token * args.columns);
  });
}

int64_t embedding_order(const int32_t* ids, int64_t tokens, int32_t* order, int32_t* starts) {
  std::iota(order, order + tokens, 0);
  if (!std::is_sorted(ids, ids + tokens)) {
    // The token as second key makes the order stable without the memory of a stable sort.
    std::sort(order, order + tokens, [ids](int32_t left, int32_t right) {
      return ids[left] != ids[right] ? ids[left] < ids[right] : left < right;
    });
  }
  int64_t runs = 0;
  for (int64_t i = 0; i < tokens; ++i) {
    if (i == 0 || ids[order[i]] != ids[order[i - 1]]) starts[runs++] = static_cast<int32_t>(i);
  }
  starts[runs] = static_cast<int32_t>(tokens);
  return runs;
}

template <class T>
void embedding_backward(const EmbeddingBackward<T>& args) {
  if (args.dtable_mode == GradMode::Ignore) return;
  // A run owns its row and the unnamed rows before it; what follows the last run is a part of its own.
  parallel_for(args.runs + 1, [&](int64_t run) {
    const auto row_of = [&](int64_t r) { return int64_t{args.ids[args.order[args.starts[r]]]}; };
    if (args.dtable_mode == GradMode::Overwrite) {
      const int64_t from = run == 0 ? 0 : row_of(run - 1) + 1;
      const int64_t to = run == args.runs ? args.table_rows : row_of(run);
      std::fill(args.dtable + from * args.columns, args.dtable + to * args.columns, T{});
    }
    if (run < args.runs) row_gradient(args, args.starts[run], args.starts[run + 1]);
  });
}

template void embedding_forward(const EmbeddingForward<float>&);
template void embedding_forward(const EmbeddingForward<bf16>&);
template void embedding_forward(const EmbeddingForward<double>&);
template void embedding_backward(const EmbeddingBackward<float>&);
template void embedding_backward(const EmbeddingBackward<bf16>&);
template void embedding_backward(const EmbeddingBackward<double>&);

}  // namespace prospect::kernels::cpu
