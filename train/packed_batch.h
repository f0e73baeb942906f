#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/packed_tokens.h"
#include "train/examples.h"

namespace prospect {

/// A prompt and a completion, of one example or of two.
struct Sequence {
  std::span<const int32_t> prompt, completion;  ///< at least one token each
  int64_t example = 0;                          ///< global index; keys dropout

  /// Rows of the packed batch: the last token predicts nothing and is not among them.
  int64_t input_tokens() const { return std::ssize(prompt) + std::ssize(completion) - 1; }
};

/// The example itself.
Sequence matched_sequence(const Example& example, int64_t index);
/// One example's prompt with another's completion, cut to max_length as an example is.
Sequence mismatched_sequence(const Example& prompt, const Example& completion, int64_t index,
                             int64_t max_length);

/// S sequences as T packed tokens, and which R of their rows predict a completion token.
struct PackedBatch {
  PackedTokens tokens;
  Tensor rows;                        ///< [R] i32: rows of the hidden state
  Tensor targets;                     ///< [R] i32: the token each of them must predict
  Tensor offsets;                     ///< [S + 1] i32: sequence s owns [offsets[s], offsets[s + 1]) of the R
  std::vector<int32_t> host_offsets;  ///< the same on the host
};
PackedBatch pack(std::span<const Sequence> sequences, const Device& device);

}  // namespace prospect
