#pragma once

#include "model/gguf.h"
#include "model/weights.h"

namespace prospect {

/// What a .gguf file says of its model, in the words of a Hugging Face folder.
struct GgufModel {
  ModelConfig config;
  StoredWeights weights;  ///< point into the file
};

/// Throws: Error(BadData) `file: key or tensor: reason`, also for an architecture that is not there.
GgufModel read_gguf_model(const GgufFile& file);

}  // namespace prospect
