#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "train/options.h"

namespace prospect {

/// Sets fields from the JSON of a TRL 1.16 KTOConfig: an object of its arguments, all of them or some. Keys
/// that mean the same are taken (loss_type is the objective, output_dir is out, bf16 chooses the dtype);
/// keys that only concern Python are passed over and returned, sorted. It does not choose the regime: that
/// is --compat trl.
/// Throws: Error(BadConfig) `source key: reason` for an unknown key, a value of another type, or a value
/// that asks for what this program does not do; `source:line: reason` for text that is not a JSON object.
std::vector<std::string> apply_trl_config(TrainOptions& options, std::string_view text,
                                          const std::string& source);

}  // namespace prospect
