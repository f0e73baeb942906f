#include "tests/fuzz/harness.h"
#include "train/run_state.h"

// A checkpoint's state.json. What it says must survive being written again.
using namespace prospect;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::loads_or_refuses("state.json", [&] {
    const std::string text = to_text(parse_run_state(fuzz::text_of(data, size), "state.json"));
    fuzz::promise(to_text(parse_run_state(text, "state.json")) == text,
                  "the state that is written is another");
  });
  return 0;
}
