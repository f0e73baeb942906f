#pragma once

#include "engine/tensor.h"

namespace prospect {

/// A batch as every kernel takes it: sequences one after another, never padded. T tokens, S sequences.
struct PackedTokens {
  Tensor ids;        ///< [T] i32
  Tensor positions;  ///< [T] i32, from 0 in each sequence
  Tensor bounds;     ///< [S, 4] i32: query begin, query end, key begin, key end, as rows
  Tensor examples;   ///< [T] i32: the global index of the example that a token belongs to (keys dropout)
};

}  // namespace prospect
