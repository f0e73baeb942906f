#include "model/tokenizer.h"
#include "tests/fuzz/harness.h"

// tokenizer.json, and after a NUL byte tokenizer_config.json and a text to encode. A vocabulary that loads
// must encode any text to ids that it has.
using namespace prospect;

namespace {

/// What stands before the next NUL, taken off `rest`.
std::string_view take(std::string_view& rest) {
  const std::string_view part = rest.substr(0, rest.find('\0'));
  rest.remove_prefix(std::min(rest.size(), part.size() + 1));
  return part;
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest = fuzz::text_of(data, size);
  const std::string_view json = take(rest), config = take(rest);
  const std::string text = std::string(rest) + " Hello,  w\xC3\xB6rld 123\n\xFF\xE2\x80";
  fuzz::loads_or_refuses("tokenizer.json", [&] {
    const Tokenizer tokenizer = Tokenizer::from_json(json, "tokenizer.json", config);
    const std::vector<int32_t> ids = tokenizer.encode(text);
    for (const int32_t id : ids) fuzz::promise(id >= 0 && id < tokenizer.size(), "an id that no token has");
    tokenizer.decode(ids);
    tokenizer.decode(ids, true);
  });
  return 0;
}
