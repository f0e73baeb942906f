#pragma once

#include <string>
#include <string_view>

#include "model/config.h"

namespace prospect {

/// The config.json of a Hugging Face folder. Keys that do not concern the mathematics of this program are
/// kept in source_json and otherwise ignored; attention dropout (attn_pdrop, attention_dropout) is among
/// them: attention never drops here. `source` names the file in errors.
/// Throws: Error(BadData) `source: key: reason` for what is missing, out of bounds, contradictory, or asks
/// for a model that this program does not have.
ModelConfig config_from_json(std::string_view json, const std::string& source);

/// The config.json to write: source_json with the keys that changed, or a complete one for a model of our
/// own. The rotary base is written as both `rope_theta` and `rope_parameters`, since transformers 4 reads
/// only the first and falls back silently without it. `stored_dtype` is that of the weights: "F32", "F16",
/// "BF16" or "F64".
std::string config_to_json(const ModelConfig& config, std::string_view stored_dtype);

/// Fails unless the sizes go together and the kernels take them; called by config_from_json. `source` as
/// there. Throws: Error(BadData).
void require_sound(const ModelConfig& config, const std::string& source);

}  // namespace prospect
