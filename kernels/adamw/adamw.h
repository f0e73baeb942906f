#pragma once

#include <cstdint>

#include "kernels/common/bf16.h"
#include "kernels/common/stream.h"

/// One AdamW step on elements [begin, end) of a flat arena; ranges that differ in weight decay are separate
/// calls.
///   g = clip_factor * gradient,   p -= learning_rate weight_decay p
///   m += (1 - beta1) (g - m),   v = beta2 v + (1 - beta2) g^2
///   p -= learning_rate / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + epsilon)
/// Source: Loshchilov, Hutter, "Decoupled Weight Decay Regularization", arXiv 1711.05101, algorithm 2, in the
/// order of operations of PyTorch's torch.optim.AdamW. Cost, N elements: f32 7N words moved; bf16 6N words
/// and 2N halves; 16N flops. Memory-bound everywhere.
namespace prospect::kernels {

template <class T>
struct AdamW {
  T* parameter;                 ///< the arena; element `begin` is the first touched
  compute_t<T>* master;         ///< unrounded parameters, that parameter is the copy of; null for f32 and f64
  compute_t<T>* first_moment;   ///< m, zeros before step 1
  compute_t<T>* second_moment;  ///< v, zeros before step 1
  const T* gradient;
  int64_t begin, end;
  double learning_rate, beta1, beta2;
  double epsilon;  ///< positive: gaps of the arena, where all is zero, stay zero
  double weight_decay;
  int64_t step;               ///< counts from 1
  const double* clip_factor;  ///< [1], read by the kernel; null: 1
  const int32_t* finite;      ///< [1], read by the kernel: 0 skips the update; null: update
};

namespace cpu {
/// Each element depends on itself alone: any split into ranges and threads gives the same bits.
template <class T>
void adamw(const AdamW<T>& args);
}  // namespace cpu

/// On device memory; float and bf16. Reads and writes each array once; 16-byte accesses where the arenas
/// begin at multiples of 16 bytes. Returns once the work is queued on `stream`.
namespace cuda {
template <class T>
void adamw(const AdamW<T>& args, Stream stream);
}  // namespace cuda

}  // namespace prospect::kernels
