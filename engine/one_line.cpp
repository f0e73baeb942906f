#include "engine/one_line.h"

#include <fmt/core.h>

namespace prospect {

std::string one_line(std::string_view sentence) {
  constexpr size_t kHead = 1500, kTail = 500;
  std::string line;
  for (size_t at = 0; at < sentence.size(); ++at) {
    if (at == kHead && sentence.size() > kHead + kTail) {
      line += " ... ";
      at = sentence.size() - kTail;
    }
    const auto byte = static_cast<unsigned char>(sentence[at]);
    if (byte < 0x20 || byte == 0x7F) {
      line += fmt::format("\\x{:02x}", byte);
    } else {
      line += sentence[at];
    }
  }
  return line;
}

}  // namespace prospect
