#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// The byte-level alphabet of GPT-2: each of the 256 bytes has one printable character, and vocabularies are
/// written in these characters. A byte that is printable in Latin-1 is its own character; the others, in
/// order, are U+0100, U+0101, ... (a space is U+0120).
namespace prospect::tokenization {

/// The character of a byte, in UTF-8.
const std::string& character_of_byte(uint8_t byte);
/// The byte of a character; nothing for a character outside the alphabet.
std::optional<uint8_t> byte_of_character(char32_t character);
/// The bytes that a text in the alphabet stands for; nothing if one of its characters is outside.
/// The text must be valid UTF-8.
std::optional<std::string> bytes_of_text(std::string_view text);

}  // namespace prospect::tokenization
