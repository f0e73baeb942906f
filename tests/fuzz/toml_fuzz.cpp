#include "tests/fuzz/harness.h"
#include "train/options.h"

// The TOML of --config, and of a checkpoint's state. What it says must survive being written again.
using namespace prospect;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  TrainOptions options;
  const bool good = fuzz::loads_or_refuses(
      "run.toml", [&] { apply_toml(options, fuzz::text_of(data, size), "run.toml"); }, {ExitCode::BadConfig});
  if (!good) return 0;
  fuzz::loads_or_refuses("--", [&] { check_options(options); }, {ExitCode::BadConfig});
  const std::string text = to_toml(options);
  TrainOptions again;
  fuzz::loads_or_refuses("run.toml",
                         [&] {
                           apply_toml(again, text, "run.toml");
                           fuzz::promise(to_toml(again) == text, "the options that are written are others");
                         },
                         {});
  return 0;
}
