#include "model/tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/common/check.h"

namespace prospect::tokenization {
namespace {

unsigned char byte_at(std::string_view text, size_t at) {
  return static_cast<unsigned char>(text[at]);
}

struct Sequence {
  size_t bytes;  ///< of the character, or of its malformed beginning
  bool valid;
};

/// What the lead byte promises: how many bytes, and the range of the second (Unicode, table 3-7).
Sequence sequence_at(std::string_view text, size_t at) {
  const unsigned char lead = byte_at(text, at);
  if (lead < 0x80) return {1, true};
  const size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                        : (lead & 0xF0) == 0xE0        ? 3
                        : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                       : 0;
  if (length == 0) return {1, false};
  unsigned char low = 0x80, high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  for (size_t i = 1; i < length; ++i, low = 0x80, high = 0xBF) {
    if (at + i >= text.size() || byte_at(text, at + i) < low || byte_at(text, at + i) > high)
      return {i, false};
  }
  return {length, true};
}

int32_t category(char32_t scalar) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(scalar));
}

/// Alphabetic symbols outside letters, marks and numbers: the circled, squared and negative Latin letters.
bool is_alphabetic_symbol(char32_t c) {
  return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
         (c >= 0x1F170 && c <= 0x1F189);
}

using Scalars = std::vector<utf8proc_int32_t>;

int combining_class(utf8proc_int32_t scalar) {
  return utf8proc_get_property(scalar)->combining_class;
}

Scalars decompose(std::string_view text) {
  Scalars scalars;
  scalars.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Scalar scalar = scalar_at(text, at);
    at += scalar.bytes;
    std::array<utf8proc_int32_t, 32> parts;
    int boundary = 0;
    const auto count = utf8proc_decompose_char(
        static_cast<utf8proc_int32_t>(scalar.value), parts.data(), parts.size(),
        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE), &boundary);
    CHECK(count > 0 && count <= static_cast<utf8proc_ssize_t>(parts.size()), "nfc: decomposition failed");
    scalars.insert(scalars.end(), parts.begin(), parts.begin() + count);
  }
  return scalars;
}

/// Canonical order. utf8proc's own sorts by insertion: a long run of marks would take quadratic time.
void order_marks(Scalars& scalars) {
  const auto is_starter = [](utf8proc_int32_t c) { return combining_class(c) == 0; };
  for (auto begin = scalars.begin(); begin != scalars.end();) {
    begin = std::find_if_not(begin, scalars.end(), is_starter);
    const auto end = std::find_if(begin, scalars.end(), is_starter);
    std::stable_sort(begin, end,
                     [](auto left, auto right) { return combining_class(left) < combining_class(right); });
    begin = end;
  }
}

}  // namespace

bool is_ascii(std::string_view text) {
  size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + at, 8);
    if ((word & 0x8080808080808080u) != 0) return false;
  }
  for (; at < text.size(); ++at) {
    if (byte_at(text, at) >= 0x80) return false;
  }
  return true;
}

bool is_valid_utf8(std::string_view text) {
  if (is_ascii(text)) return true;
  for (size_t at = 0; at < text.size();) {
    const Sequence sequence = sequence_at(text, at);
    if (!sequence.valid) return false;
    at += sequence.bytes;
  }
  return true;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Sequence sequence = sequence_at(text, at);
    valid += sequence.valid ? text.substr(at, sequence.bytes) : std::string_view("\xEF\xBF\xBD");
    at += sequence.bytes;
  }
  return valid;
}

void append_utf8(std::string& text, char32_t scalar) {
  std::array<utf8proc_uint8_t, 4> bytes;
  const auto count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(scalar), bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(count));
}

Scalar scalar_at(std::string_view text, size_t at) {
  const unsigned char lead = byte_at(text, at);
  if (lead < 0x80) return {lead, 1};
  const auto low6 = [&](size_t i) { return static_cast<char32_t>(byte_at(text, at + i) & 0x3F); };
  if (lead < 0xE0) return {static_cast<char32_t>(lead & 0x1F) << 6 | low6(1), 2};
  if (lead < 0xF0) return {static_cast<char32_t>(lead & 0x0F) << 12 | low6(1) << 6 | low6(2), 3};
  return {static_cast<char32_t>(lead & 0x07) << 18 | low6(1) << 12 | low6(2) << 6 | low6(3), 4};
}

Scalar scalar_before(std::string_view text, size_t at) {
  size_t begin = at - 1;
  while (begin > 0 && (byte_at(text, begin) & 0xC0) == 0x80) --begin;
  return scalar_at(text, begin);
}

bool is_white_space(char32_t c) {
  return c == 0x20 || (c >= 0x09 && c <= 0x0D) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_numeric(char32_t scalar) {
  if (scalar < 0x80) return scalar >= '0' && scalar <= '9';
  const int32_t kind = category(scalar);
  return kind == UTF8PROC_CATEGORY_ND || kind == UTF8PROC_CATEGORY_NL || kind == UTF8PROC_CATEGORY_NO;
}

bool is_word(char32_t scalar) {
  switch (category(scalar)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return scalar == 0x200C || scalar == 0x200D || is_alphabetic_symbol(scalar);
  }
}

std::string to_nfc(std::string_view text) {
  if (is_ascii(text)) return std::string(text);
  Scalars scalars = decompose(text);
  order_marks(scalars);
  const auto count =
      utf8proc_normalize_utf32(scalars.data(), static_cast<utf8proc_ssize_t>(scalars.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  CHECK(count >= 0, "nfc: {}", utf8proc_errmsg(count));
  std::string normal;
  normal.reserve(text.size());
  for (utf8proc_ssize_t i = 0; i < count; ++i)
    append_utf8(normal, static_cast<char32_t>(scalars[static_cast<size_t>(i)]));
  return normal;
}

}  // namespace prospect::tokenization
