#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/tokenizer/definition.h"
#include "model/tokenizer/regex.h"

namespace prospect::tokenization {

/// Pieces of a text: views of it, or of a copy with a space in front kept in `owned`.
struct Pieces {
  std::vector<std::string_view> views;
  std::deque<std::string> owned;
};

/// Cuts a text into the pieces that BPE never merges across. The going over to bytes at the end is left to
/// BPE, which starts from bytes anyhow.
class PreTokenizer {
 public:
  /// Throws: Error(BadData) for a pattern that does not compile.
  PreTokenizer(const std::vector<PreTokenizerRule>& rules, const std::string& source);

  /// The pieces of valid UTF-8, none of them empty. Throws: Error(BadData) for a pattern that runs away.
  Pieces cut(std::string_view text) const;

 private:
  struct Step {
    PreTokenizerRule rule;
    std::optional<Regex> regex;
  };
  std::vector<Step> steps_;
};

}  // namespace prospect::tokenization
