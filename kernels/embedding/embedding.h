#pragma once

#include <cstdint>

#include "kernels/common/grad_mode.h"
#include "kernels/common/stream.h"

/// Rows of a table by id, and the sum of their gradients.
///   y[t] = table[ids[t]],   dtable[v] = sum of dy[t] over t with ids[t] = v, in the order of t
/// Cost, T tokens of C columns, table of V rows: forward 2TC elements moved, no flops; backward TC read and
/// TC added, VC written where the gradient is overwritten, else one row per distinct id. Memory-bound.
namespace prospect::kernels {

template <class T>
struct EmbeddingForward {
  T* y;                ///< [tokens, columns]
  const T* table;      ///< [table_rows, columns]
  const int32_t* ids;  ///< [tokens], each in [0, table_rows)
  int64_t tokens, columns;
};

template <class T>
struct EmbeddingBackward {
  T* dtable;  ///< [table_rows, columns]; rows that no id names become 0 under Overwrite
  GradMode dtable_mode;
  const T* dy;            ///< [tokens, columns]
  const int32_t* ids;     ///< [tokens], each in [0, table_rows)
  const int32_t* order;   ///< [tokens], from embedding_order()
  const int32_t* starts;  ///< [runs + 1], from embedding_order()
  int64_t runs, columns, table_rows;
};

namespace cpu {

template <class T>
void embedding_forward(const EmbeddingForward<T>& args);

/// Sorts tokens by id, equal ids in token order: order[starts[r]] to order[starts[r + 1] - 1] are the tokens
/// of the r-th distinct id. Returns the number of distinct ids. T log T comparisons; T if ids never decrease,
/// as where rows of an activation are picked. order holds `tokens` elements, starts `tokens` + 1.
int64_t embedding_order(const int32_t* ids, int64_t tokens, int32_t* order, int32_t* starts);

/// Each distinct row is summed by one thread in token order, in compute_t<T>: the same bits for any number of
/// threads.
template <class T>
void embedding_backward(const EmbeddingBackward<T>& args);

}  // namespace cpu

/// On device memory; float and bf16. Returns once the work is queued on `stream`.
namespace cuda {
template <class T>
void embedding_forward(const EmbeddingForward<T>& args, Stream stream);

/// Order and starts are those of cpu::embedding_order(). A row's tokens are summed in order, those of a long
/// run in eight consecutive parts: the same bits whatever else is in the batch. Overwrite clears the whole
/// table first.
template <class T>
void embedding_backward(const EmbeddingBackward<T>& args, Stream stream);
}  // namespace cuda

}  // namespace prospect::kernels
