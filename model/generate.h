#pragma once

#include <functional>

#include "model/transformer.h"

namespace prospect {

struct SamplingOptions {
  int64_t max_new_tokens = 64;
  double temperature = 1;  ///< 0: always the likeliest token
  int64_t top_k = 0;       ///< only the k likeliest; 0: all
  double top_p = 1;        ///< only the likeliest that together reach this probability
  uint64_t seed = 0;
  int32_t token_limit = 0;  ///< ids at or above it are never drawn (padding of the vocabulary); 0: none
};

/// Continues each prompt until an end-of-sequence token (which is not returned) or max_new_tokens. What
/// prompt i gets depends on (seed, first_index + i) and the prompt alone, not on its neighbours. Keys and
/// values are cached. Throws: Error(BadData) for an empty prompt or one that leaves no room in the model's
/// positions.
std::vector<std::vector<int32_t>> generate(const Transformer& transformer,
                                           const std::vector<std::vector<int32_t>>& prompts,
                                           const SamplingOptions& options, int64_t first_index = 0);

/// Draws a token from logits with a number in [0, 1). Ties go to the smaller id.
int32_t sample_token(std::span<const float> logits, const SamplingOptions& options, double uniform);

}  // namespace prospect
