#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct re_pattern_buffer;  // Oniguruma's

namespace prospect::tokenization {

/// Bytes [begin, end) of a text.
struct Range {
  size_t begin;
  size_t end;
};

/// A regular expression in Oniguruma's Ruby syntax over UTF-8, as Hugging Face tokenizers uses it. The work a
/// match may take, and the time for a text, are bounded by the text's length; what exceeds it is an error,
/// not an endless search. \\G, which ties a match to where a search begins, is refused.
class Regex {
 public:
  /// `source` names the pattern's origin in errors. Throws: Error(BadData).
  Regex(const std::string& pattern, std::string source);

  /// All matches from left to right in valid UTF-8; some may be empty, and still mark a place.
  /// Throws: Error(BadData) when the pattern runs away on this text.
  std::vector<Range> find_all(std::string_view text) const;

 private:
  struct Free {
    void operator()(re_pattern_buffer* regex) const;
  };
  std::unique_ptr<re_pattern_buffer, Free> regex_;
  std::string source_;
};

}  // namespace prospect::tokenization
