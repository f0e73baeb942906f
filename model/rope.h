#pragma once

#include <vector>

#include "model/config.h"

namespace prospect {

/// The inverse frequencies of rotary positions, theta^(-2i / head_dim) for i in [0, head_dim / 2), stretched
/// where the config says so. In double, whatever the model computes in.
/// Source: Su et al., "RoFormer", arXiv 2104.09864, eq. 15; the stretching: transformers'
/// _compute_llama3_parameters.
std::vector<double> rope_frequencies(const ModelConfig& config);

}  // namespace prospect
