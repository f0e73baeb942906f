#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/grad_mode.h"
#include "kernels/common/stream.h"

/// Causal attention inside packed sequences, with grouped queries and an optional window.
///   s[i,j] = scale * q[i] . k[j],  p = softmax over the keys j that query i sees,  o[i] = sum_j p[i,j] v[j]
/// A sequence has m queries and n >= m keys; its last query stands at its last key, so query i sees the keys
/// j <= i + n - m, and of those the last `window` where a window is set. Query head h reads the keys and
/// values of head h / (heads / kv_heads).
/// Source: Vaswani et al., "Attention Is All You Need", arXiv 1706.03762, eq. 1; tiles and the online
/// softmax: Dao, "FlashAttention-2", arXiv 2307.08691, algorithms 1 and 2. Scores exist only for one tile at
/// a time and are computed in compute_t<T>; the logarithm of each row's sum of exponentials is kept, and
/// backward computes the scores again:
///   D[i] = do[i] . o[i],  ds = p * (do v^T - D),  dq = scale ds k,  dk = scale ds^T q,  dv = p^T do
/// Cost, P visible pairs of a query head and a key: forward 4 P head_dim flops and one exponential a pair;
/// backward 10 P head_dim (14 where there are fewer sequences than threads, see the schedule in the source).
/// Compute-bound except for single queries on a cache, which read each key and value once.
namespace prospect::kernels {

/// What attends to what, shared by forward and backward.
struct AttentionProblem {
  /// [sequences, 4]: query begin, query end, key begin, key end. Requires: no two query ranges overlap.
  const int32_t* bounds;
  int64_t sequences;
  int64_t tokens;    ///< rows of q, o and their gradients
  int64_t key_rows;  ///< rows of k, v and their gradients
  int64_t max_keys;  ///< the most keys of one sequence
  int64_t heads, kv_heads;
  int64_t head_dim;  ///< a multiple of 8 up to 256
  double scale;
  int64_t window;  ///< 0: a query sees all keys up to its own
};

/// Each q, k, v, o points at the first head of row 0; heads lie side by side in a row, rows a stride apart.
/// Rows that no sequence names are neither read nor written.
template <class T>
struct AttentionForward {
  T* o;                ///< [tokens, heads, head_dim]
  compute_t<T>* lse;   ///< [heads, tokens], kept for backward; null where it is not wanted
  std::byte* scratch;  ///< attention_forward_scratch_bytes(), aligned to 64
  const T *q, *k, *v;  ///< [rows, heads or kv_heads, head_dim]
  int64_t o_stride, q_stride, k_stride, v_stride;  ///< elements from a row to the next
  AttentionProblem problem;
};

/// Requires: no two key ranges overlap. Rows that no sequence names are left alone in every mode.
template <class T>
struct AttentionBackward {
  T *dq, *dk, *dv;     ///< strides as q, k, v
  GradMode mode;       ///< of all three
  std::byte* scratch;  ///< attention_backward_scratch_bytes(), aligned to 64
  const T *d_o, *o;    ///< [tokens, heads, head_dim]
  const T *q, *k, *v;
  const compute_t<T>* lse;  ///< [heads, tokens] from forward
  int64_t o_stride, q_stride, k_stride, v_stride;
  AttentionProblem problem;
};

namespace cpu {
/// A row's result depends on its own sequence alone: the same bits alone or packed, on any number of threads.
template <class T>
void attention_forward(const AttentionForward<T>& args);
/// The same promise.
template <class T>
void attention_backward(const AttentionBackward<T>& args);
template <class T>
int64_t attention_forward_scratch_bytes(const AttentionProblem& problem);
template <class T>
int64_t attention_backward_scratch_bytes(const AttentionProblem& problem);
}  // namespace cpu

/// On device memory; float and bf16. Returns once the work is queued on `stream`. A row's result depends on
/// its own sequence alone: the same bits alone or packed, in every run. Requires: scale is positive; bounds,
/// and every row of every tensor, begin at multiples of 16 bytes (which views of one row of q, k and v do,
/// heads being multiples of 8 elements). Throws Error(BadConfig).
namespace cuda {
/// scratch is not used.
template <class T>
void attention_forward(const AttentionForward<T>& args, Stream stream);
template <class T>
void attention_backward(const AttentionBackward<T>& args, Stream stream);
int64_t attention_backward_scratch_bytes(const AttentionProblem& problem);
}  // namespace cuda

}  // namespace prospect::kernels
