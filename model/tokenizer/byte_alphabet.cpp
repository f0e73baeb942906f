#include "model/tokenizer/byte_alphabet.h"

#include "model/tokenizer/unicode.h"

namespace prospect::tokenization {
namespace {

constexpr bool is_its_own(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr uint32_t kFirstBorrowed = 0x100;
constexpr uint32_t kBorrowed = 68;  ///< bytes that are not their own character

struct Alphabet {
  std::array<std::string, 256> characters;
  std::array<uint8_t, kBorrowed> borrowed{};

  Alphabet() {
    uint32_t next = 0;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      append_utf8(characters[byte], is_its_own(byte) ? byte : kFirstBorrowed + next);
      if (!is_its_own(byte)) borrowed[next++] = static_cast<uint8_t>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet alphabet;
  return alphabet;
}

}  // namespace

const std::string& character_of_byte(uint8_t byte) {
  return alphabet().characters[byte];
}

std::optional<uint8_t> byte_of_character(char32_t character) {
  if (character < 256 && is_its_own(character)) return static_cast<uint8_t>(character);
  if (character >= kFirstBorrowed && character < kFirstBorrowed + kBorrowed) {
    return alphabet().borrowed[character - kFirstBorrowed];
  }
  return std::nullopt;
}

std::optional<std::string> bytes_of_text(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Scalar scalar = scalar_at(text, at);
    const auto byte = byte_of_character(scalar.value);
    if (!byte) return std::nullopt;
    bytes.push_back(static_cast<char>(*byte));
    at += scalar.bytes;
  }
  return bytes;
}

}  // namespace prospect::tokenization
