#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// UTF-8 and the few Unicode properties that tokenizers ask for.
namespace prospect::tokenization {

/// A Unicode scalar value and the number of bytes that hold it.
struct Scalar {
  char32_t value;
  size_t bytes;
};

bool is_ascii(std::string_view text);
/// No surrogates, no overlong forms, nothing beyond U+10FFFF.
bool is_valid_utf8(std::string_view text);
/// Each malformed part, as long as it could have begun a character, becomes one U+FFFD: what Python's
/// errors="replace" and Rust's from_utf8_lossy do (Unicode, section 3.9, "maximal subparts").
std::string replace_invalid_utf8(std::string_view text);
void append_utf8(std::string& text, char32_t scalar);

/// The scalar at, or the one that ends before, byte `at` of valid UTF-8; at must lie inside the text.
Scalar scalar_at(std::string_view text, size_t at);
Scalar scalar_before(std::string_view text, size_t at);

/// White_Space.
bool is_white_space(char32_t scalar);
/// General category N: what Rust's char::is_numeric says.
bool is_numeric(char32_t scalar);
/// \w of UTS 18: Alphabetic, marks, decimal digits, connector punctuation, join controls.
bool is_word(char32_t scalar);

/// Normalisation Form C of valid UTF-8, in time O(n log n) whatever the text.
std::string to_nfc(std::string_view text);

}  // namespace prospect::tokenization
