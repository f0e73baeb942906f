#include "model/tokenizer/pre_tokenizer.h"

#include "kernels/common/check.h"
#include "model/tokenizer/unicode.h"

namespace prospect::tokenization {
namespace {

constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

using Views = std::vector<std::string_view>;

void append(Views& out, std::string_view piece) {
  if (!piece.empty()) out.push_back(piece);
}

/// Calls take(piece, is_match) for matches and gaps in order.
template <class Take>
void walk(std::string_view text, const std::vector<Range>& matches, Take take) {
  size_t done = 0;
  for (const Range& match : matches) {
    take(text.substr(done, match.begin - done), false);
    take(text.substr(match.begin, match.end - match.begin), true);
    done = match.end;
  }
  take(text.substr(done), false);
}

std::vector<Range> find_string(std::string_view text, std::string_view pattern) {
  std::vector<Range> matches;
  if (pattern.empty()) return matches;
  for (size_t at = text.find(pattern); at != text.npos; at = text.find(pattern, at + pattern.size())) {
    matches.push_back({at, at + pattern.size()});
  }
  return matches;
}

void split(std::string_view text, const SplitRule& rule, const std::optional<Regex>& regex, Views& out) {
  const bool keeps_both = rule.behavior == SplitRule::Behavior::Isolated;
  walk(text, regex ? regex->find_all(text) : find_string(text, rule.pattern),
       [&](std::string_view piece, bool is_match) {
         if (keeps_both || is_match == rule.invert) append(out, piece);
       });
}

void split(std::string_view text, const DigitsRule& rule, const std::optional<Regex>&, Views& out) {
  size_t begin = 0;
  bool after_digit = false;
  for (size_t at = 0; at < text.size();) {
    const Scalar scalar = scalar_at(text, at);
    const bool is_digit = is_numeric(scalar.value);
    if (is_digit != after_digit || (is_digit && rule.individual)) {
      append(out, text.substr(begin, at - begin));
      begin = at;
    }
    after_digit = is_digit;
    at += scalar.bytes;
  }
  append(out, text.substr(begin));
}

void split(std::string_view text, const ByteLevelRule&, const std::optional<Regex>& regex, Views& out) {
  if (!regex) return append(out, text);
  walk(text, regex->find_all(text), [&](std::string_view piece, bool) { append(out, piece); });
}

void add_prefix_spaces(Pieces& pieces) {
  for (std::string_view& piece : pieces.views) {
    if (piece.starts_with(' ')) continue;
    std::string& spaced = pieces.owned.emplace_back(1, ' ');
    spaced += piece;
    piece = spaced;
  }
}

std::optional<Regex> regex_of(const PreTokenizerRule& rule, const std::string& source) {
  if (const auto* split = std::get_if<SplitRule>(&rule); split != nullptr && split->is_regex) {
    return Regex(split->pattern, source + ": pre_tokenizer Split");
  }
  if (const auto* bytes = std::get_if<ByteLevelRule>(&rule); bytes != nullptr && bytes->use_regex) {
    return Regex(kGpt2Pattern, source + ": pre_tokenizer ByteLevel");
  }
  return std::nullopt;
}

}  // namespace

PreTokenizer::PreTokenizer(const std::vector<PreTokenizerRule>& rules, const std::string& source) {
  for (const PreTokenizerRule& rule : rules) steps_.push_back({rule, regex_of(rule, source)});
}

Pieces PreTokenizer::cut(std::string_view text) const {
  Pieces pieces;
  append(pieces.views, text);
  for (const Step& step : steps_) {
    if (const auto* bytes = std::get_if<ByteLevelRule>(&step.rule);
        bytes != nullptr && bytes->add_prefix_space) {
      add_prefix_spaces(pieces);
    }
    Views cut;
    cut.reserve(pieces.views.size());
    for (const std::string_view piece : pieces.views) {
      std::visit([&](const auto& rule) { split(piece, rule, step.regex, cut); }, step.rule);
    }
    pieces.views = std::move(cut);
  }
  return pieces;
}

}  // namespace prospect::tokenization
