#include "model/tokenizer/vocabulary.h"

#include <algorithm>

#include "kernels/common/check.h"
#include "model/tokenizer/unicode.h"

namespace prospect::tokenization {
namespace {

// Finding is quadratic in this at worst; the longest known token is a run of spaces far shorter.
constexpr size_t kLongestAdded = 4096;
// Ids may leave gaps, but not such that the table of ids takes far more memory than the file.
constexpr size_t kMostGaps = 1 << 16;

}  // namespace

Vocabulary::Vocabulary(const Definition& definition) {
  int32_t largest = -1;
  for (const auto& [token, id] : definition.bpe.vocab) largest = std::max(largest, id);
  for (const AddedToken& token : definition.added_tokens) largest = std::max(largest, token.id);
  const size_t tokens = definition.bpe.vocab.size() + definition.added_tokens.size();
  if (largest >= 0 && static_cast<size_t>(largest) >= 2 * tokens + kMostGaps) {
    fail(ExitCode::BadData, "{}: the id {} is too large for {} tokens", definition.source, largest, tokens);
  }
  entries_.resize(static_cast<size_t>(largest) + 1);
  ids_.reserve(tokens);
  for (const auto& [token, id] : definition.bpe.vocab) insert(token, id, definition.source);
  add(definition);
}

void Vocabulary::insert(const std::string& token, int32_t id, const std::string& source) {
  Entry& entry = entries_[static_cast<size_t>(id)];
  if (entry.used) {
    fail(ExitCode::BadData, "{}: \"{}\" and \"{}\" have the same id {}", source, entry.token, token, id);
  }
  entry.token = token;
  entry.used = true;
  ids_.emplace(entry.token, id);
}

void Vocabulary::add(const Definition& definition) {
  int32_t next = static_cast<int32_t>(definition.bpe.vocab.size());
  for (const AddedToken& token : definition.added_tokens) {
    if (token.content.size() > kLongestAdded) {
      fail(ExitCode::BadData, "{}: added_tokens: a token of {} bytes", definition.source,
           token.content.size());
    }
    const int32_t known = find(token.content);
    const int32_t expected = known >= 0 ? known : next;
    if (token.id != expected) {
      fail(ExitCode::BadData, "{}: added_tokens: \"{}\" has id {}, but its place is {}", definition.source,
           token.content, token.id, expected);
    }
    if (known < 0) {
      insert(token.content, token.id, definition.source);
      ++next;
    }
    Entry& entry = entries_[static_cast<size_t>(token.id)];
    entry.special = entry.special || token.special;
    if (!definition.nfc || !token.normalized) continue;
    if (std::string normal = to_nfc(token.content); normal != token.content)
      normalized_[token.id] = std::move(normal);
  }
}

int32_t Vocabulary::find(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? -1 : found->second;
}

std::string_view Vocabulary::token(int32_t id) const {
  if (!has(id)) return {};
  const auto normal = normalized_.find(id);
  return normal == normalized_.end() ? entries_[static_cast<size_t>(id)].token : normal->second;
}

}  // namespace prospect::tokenization
