#pragma once

#include <map>
#include <string>

#include "model/parameters.h"
#include "model/stored_tensor.h"

namespace prospect {

/// The tensors of a model's files by their Hugging Face names.
using StoredWeights = std::map<std::string, StoredTensor>;

/// Finds the stored tensor of every part of every parameter, spec by spec, and checks that each has the right
/// shape and a type that can be read, that nothing is left over, and that a head stored beside a tied one
/// equals the embedding. Allocates nothing of the model's size.
/// Throws: Error(BadData) `file: tensor: reason`.
std::vector<std::vector<StoredTensor>> match_weights(const ModelConfig& config,
                                                     const std::vector<ParameterSpec>& specs,
                                                     const StoredWeights& weights, const std::string& source);

/// Reads what match_weights found into the arena, on all threads.
void read_weights(const std::vector<std::vector<StoredTensor>>& matched, const Parameters& parameters);

/// The dtype to write again: that of all tensors if they agree, else F32. With `matrices_only` vectors do not
/// count: GGUF keeps them as F32 whatever the model was.
std::string common_dtype(const std::vector<std::vector<StoredTensor>>& matched, bool matrices_only);

}  // namespace prospect
