#include "model/tokenizer/added_vocabulary.h"

#include <algorithm>

#include "model/tokenizer/unicode.h"

namespace prospect::tokenization {
namespace {

/// Neither side continues a word.
bool stands_alone(std::string_view text, size_t begin, size_t end) {
  return (begin == 0 || !is_word(scalar_before(text, begin).value)) &&
         (end == text.size() || !is_word(scalar_at(text, end).value));
}

size_t skip_space_before(std::string_view text, size_t least, size_t at) {
  while (at > least) {
    const Scalar scalar = scalar_before(text, at);
    if (!is_white_space(scalar.value)) break;
    at -= scalar.bytes;
  }
  return at;
}

size_t skip_space_after(std::string_view text, size_t at) {
  while (at < text.size()) {
    const Scalar scalar = scalar_at(text, at);
    if (!is_white_space(scalar.value)) break;
    at += scalar.bytes;
  }
  return at;
}

}  // namespace

int32_t TokenFinder::child(int32_t node, char byte) const {
  for (const auto& [label, to] : nodes_[static_cast<size_t>(node)].next) {
    if (label == byte) return to;
  }
  return -1;
}

void TokenFinder::add(std::string_view form, const AddedToken& token) {
  if (form.empty()) return;
  begins_[static_cast<unsigned char>(form[0])] = true;
  int32_t node = 0;
  for (const char byte : form) {
    int32_t to = child(node, byte);
    if (to < 0) {
      to = static_cast<int32_t>(nodes_.size());
      nodes_[static_cast<size_t>(node)].next.emplace_back(byte, to);
      nodes_.emplace_back();
    }
    node = to;
  }
  nodes_[static_cast<size_t>(node)].token = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
}

TokenFinder::Match TokenFinder::find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!begins_[static_cast<unsigned char>(text[begin])]) continue;
    Match longest;
    int32_t node = 0;
    for (size_t at = begin; at < text.size() && (node = child(node, text[at])) >= 0; ++at) {
      const int32_t token = nodes_[static_cast<size_t>(node)].token;
      if (token >= 0) longest = {begin, at + 1, token};
    }
    if (longest.token >= 0) return longest;
  }
  return {};
}

void TokenFinder::walk(std::string_view text, const Visitor& visitor) const {
  size_t done = 0;  // up to here the text is accounted for
  if (!is_empty()) {
    for (Match match = find(text, 0); match.token >= 0; match = find(text, match.end)) {
      const AddedToken& token = tokens_[static_cast<size_t>(match.token)];
      // Refused, the match still counts as found: no shorter one is tried in its place.
      if (token.single_word && !stands_alone(text, match.begin, match.end)) continue;
      const size_t begin = token.lstrip ? skip_space_before(text, done, match.begin) : match.begin;
      if (done < begin) visitor.text(text.substr(done, begin - done));
      visitor.token(token.id);
      // A match inside the space that the one before swallowed ends there too: it is not walked again.
      done = token.rstrip ? skip_space_after(text, std::max(done, match.end)) : match.end;
    }
  }
  if (done < text.size()) visitor.text(text.substr(done));
}

}  // namespace prospect::tokenization
