#include "tests/emulator/decode.h"
#include "tests/emulator/fault.h"

namespace prospect::emulator {
namespace {

/// Bytes of ".f32" and the like, 0 for other words.
uint32_t type_bytes(std::string_view word) {
  if (word == ".pred") return 1;
  if (word.size() < 3 || std::string_view("busf").find(word[1]) == std::string_view::npos) return 0;
  const std::string digits(word.substr(2));
  if (digits.find_first_not_of("0123456789") != std::string::npos) return 0;
  return static_cast<uint32_t>(std::stoi(digits)) / 8;
}

}  // namespace

Declaration read_declaration(std::string_view text) {
  Declaration result;
  const size_t equals = text.find('=');
  if (equals != text.npos) {
    std::string_view values = trim(text.substr(equals + 1));
    if (values.starts_with('{')) values = values.substr(1, values.rfind('}') - 1);
    result.initial = split_operands(values);
    text = text.substr(0, equals);
  }
  const auto words = split_words(text);
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == ".align") {
      result.align = static_cast<uint32_t>(std::stoul(words.at(++i)));
    } else if (words[i] == ".extern") {
      result.external = true;
    } else if (words[i] == ".shared" || words[i] == ".global" || words[i] == ".const" ||
               words[i] == ".local" || words[i] == ".param") {
      result.space = words[i];
    } else if (const uint32_t bytes = type_bytes(words[i])) {
      result.element_bytes = bytes;
    } else if (words[i][0] != '.') {
      result.name += words[i];
    } else if (words[i] != ".visible" && words[i] != ".weak" && words[i] != ".static") {
      throw Unsupported("PTX: unknown word " + words[i] + " in: " + std::string(text));
    }
  }
  result.align = std::max(result.align, result.element_bytes);
  const size_t bracket = result.name.find('[');
  result.bytes = result.element_bytes;
  if (bracket != std::string::npos) {
    result.bytes *= std::strtoull(result.name.c_str() + bracket + 1, nullptr, 10);
    if (result.name.find('[', bracket + 1) != std::string::npos) {
      throw Unsupported("PTX: array of arrays: " + std::string(text));
    }
    result.name.resize(bracket);
  }
  return result;
}

}  // namespace prospect::emulator
