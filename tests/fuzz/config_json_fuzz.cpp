#include "model/config_json.h"
#include "model/layout.h"
#include "tests/fuzz/harness.h"

// A model's config.json. What it says must survive being written again, and be small to plan for: weights are
// allocated only after their files were found to fit.
using namespace prospect;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::loads_or_refuses("config.json", [&] {
    const ModelConfig config = config_from_json(fuzz::text_of(data, size), "config.json");
    ModelConfig again = config_from_json(config_to_json(config, config.stored_dtype), "config.json");
    again.source_json = config.source_json;
    fuzz::promise(again == config, "the config that is written is another");
    parameter_layout(config);
  });
  return 0;
}
