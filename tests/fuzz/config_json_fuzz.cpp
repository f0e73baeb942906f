#include "model/config_json.h"
#include "model/layout.h"
#include "tests/fuzz/harness.h"

// A model's config.json. What it says must survive being written again, and be small to plan for: weights are
// allocated only after their files were found to fit.
using namespace prospect;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::loads_or_refuses("config.json", [&] {
    const ModelConfig config = config_from_json(fuzz::text_of(data, size), "config.json");
    const ModelConfig again = config_from_json(config_to_json(config, config.stored_dtype), "config.json");
    fuzz::promise(again.model_type == config.model_type && again.layers == config.layers &&
                      again.head_dim == config.head_dim && again.vocab_size == config.vocab_size &&
                      again.eos_tokens == config.eos_tokens && again.llama3_rope == config.llama3_rope &&
                      again.stored_dtype == config.stored_dtype,
                  "the config that is written is another");
    parameter_layout(config);
  });
  return 0;
}
