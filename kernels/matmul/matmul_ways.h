#pragma once

#include "kernels/matmul/matmul.h"

/// The ways in which a product goes on the CPU. An element of y has the same bits on each of them, and
/// whatever the threads, the processor and the other rows: it is the sum of its terms one after another, in
/// the parts of VectorTile::part(), one part after another. Where the processor multiplies bf16, those are
/// summed otherwise (matmul_pairs.h), and all rows of bf16 go that way.
namespace prospect::kernels::cpu {

/// Up to this many rows of op(a) pay for reading b as it lies.
inline constexpr int64_t kFewRows = 8;

/// A few rows times the transpose of b: every row of b is read once, by one thread. Bound by that.
/// Requires: at most kFewRows rows, transpose_b, not transpose_a, a mode other than Ignore.
template <class T>
void matmul_few_rows(const Matmul<T, compute_t<T>>& args);

/// By tiles in registers, from panels of a and b that are packed for them. Sums that are rounded into y must
/// be of one part.
/// Throws: Error(Bug) where they are of more, or without scratch, matmul_blocked_scratch_bytes() of it.
template <class T, class Out>
void matmul_blocked(const Matmul<T, Out>& args);
/// The terms of one part.
template <class T>
int64_t matmul_blocked_part(int64_t inner);
template <class T>
int64_t matmul_blocked_scratch_bytes(int64_t rows, int64_t inner);

}  // namespace prospect::kernels::cpu
