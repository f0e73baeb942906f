#pragma once

#include "model/model.h"

namespace prospect {

/// A model with random weights, the same for the same config and seed: matrices and embeddings normal with
/// deviation 0.02, the two projections that write to the residual stream with 0.02 / sqrt(2 layers), norm
/// weights 1, biases 0.  Source: Radford et al., "Language models are unsupervised multitask learners",
/// section 2.3.
Model random_model(const ModelConfig& config, uint64_t seed, const LoadOptions& options,
                   const Device& device);

}  // namespace prospect
