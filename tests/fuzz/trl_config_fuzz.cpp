#include "tests/fuzz/harness.h"
#include "train/trl_config.h"

// The JSON of a KTOConfig.
using namespace prospect;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::loads_or_refuses("kto.json",
                         [&] {
                           TrainOptions options;
                           apply_trl_config(options, fuzz::text_of(data, size), "kto.json");
                           to_toml(options);
                         },
                         {ExitCode::BadConfig});
  return 0;
}
