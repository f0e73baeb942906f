#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/grad_mode.h"
#include "kernels/common/stream.h"
#include "kernels/kto/objective.h"

/// The language model's head and the objective in one pass over chunks of whole sequences.
///   logits = hidden weight^T,   log-probabilities of the targets,   r and the objective per sequence,
///   dlogits = share * slope of the row's sequence * (onehot - softmax),
///   dhidden = dlogits weight,   dweight = dlogits^T hidden
/// A sequence's slope is known once all its rows are: while its logits are still held, they become dlogits in
/// place. So training takes three products and [rows, vocabulary] never exists. Only a sequence longer than a
/// chunk, whose slope is not known beforehand, has its logits computed a second time (but for its last
/// chunk). Cost, R rows of C, vocabulary V: 2 R C V flops a product; per chunk the weight is read once a
/// product and dweight read and written once; 2 exponentials a logit; chunk_bytes of logits held.
namespace prospect::kernels {

template <class T>
struct HeadForward {
  double* loss;                     ///< [1]: sum of shares * values
  compute_t<T>* log_probabilities;  ///< [rows]
  double* log_ratios;               ///< [sequences]
  double* values;                   ///< [sequences]
  double* slopes;                   ///< [sequences]
  double* entropy_sums;             ///< [sequences]
  double* logit_sums;               ///< [sequences]
  T* dhidden;                       ///< [rows, columns], written; null: not wanted
  T* dweight;                       ///< [vocabulary, columns]
  GradMode dweight_mode;
  std::byte* scratch;             ///< head_scratch_bytes()
  const T* hidden;                ///< [rows, columns]
  const T* weight;                ///< [vocabulary, columns]
  const int32_t* targets;         ///< [rows], in [0, vocabulary)
  const int32_t* offsets;         ///< [sequences + 1]: sequence s owns the rows [offsets[s], offsets[s + 1])
  const int32_t* host_offsets;    ///< the same, in memory of the host
  const compute_t<T>* reference;  ///< [rows]; null: zeros
  const int32_t* labels;          ///< [sequences]: 1 desirable, 0 undesirable; null: all desirable
  const double* z0;               ///< [sequences]; null: zeros
  const double* shares;           ///< [sequences]: the factor of each in the loss; null: ones
  const double* given_slopes;     ///< [sequences]; null: the objective's own
  Objective objective;
  int64_t rows, columns, vocabulary, sequences;
  int64_t chunk_bytes;        ///< logits (and gradients of another type) held at a time; at least one row is
  int32_t* finite = nullptr;  ///< [1]: see KtoForward; null: not wanted
};

namespace cpu {
/// Gradients are computed where dhidden or dweight is wanted. Chunks are added to dweight in order.
template <class T>
void head_forward(const HeadForward<T>& args);
template <class T>
int64_t head_scratch_bytes(int64_t rows, int64_t columns, int64_t vocabulary, int64_t chunk_bytes);
}  // namespace cpu

/// On device memory (host_offsets apart); float and bf16. The same chunks in the same order; nothing is
/// allocated, and nothing is waited for. Returns once the work is queued on `stream`.
namespace cuda {
class MatmulLibrary;

template <class T>
void head_forward(const HeadForward<T>& args, MatmulLibrary& library, Stream stream);
template <class T>
int64_t head_scratch_bytes(int64_t rows, int64_t columns, int64_t vocabulary, int64_t chunk_bytes);
}  // namespace cuda

}  // namespace prospect::kernels
