#pragma once

// Heavy: for .cpp files only.
#include "model/config.h"
#include "model/config_keys.h"

namespace prospect {

/// How positions rotate, from `rope_theta` and the objects `rope_parameters` (transformers 5) and
/// `rope_scaling` (before), which must not contradict one another. Sets rope_theta and llama3_rope. Requires:
/// max_positions is read. Throws: Error(BadData).
void read_rope(const ConfigKeys& keys, ModelConfig& config);

/// Writes both forms, since transformers 4 reads only the older one and falls back silently without it.
void write_rope(const ModelConfig& config, ConfigJson& json);

}  // namespace prospect
