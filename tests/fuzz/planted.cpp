#include "tests/fuzz/harness.h"

// No reader: a target with a fault in it, by which the replay shows that it finds one.
using namespace prospect;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  fuzz::promise(text.size() > 100, "planted");
  return 0;
}
