#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/tokenizer/definition.h"

namespace prospect::tokenization {

/// Tokens and ids, the model's and the added ones together.
class Vocabulary {
 public:
  /// Throws: Error(BadData) for an id given twice or far beyond the number of tokens, or an added token whose
  /// id is not the one that Hugging Face gives it: its id in the model's vocabulary, otherwise the next after
  /// that vocabulary and the tokens before.
  explicit Vocabulary(const Definition& definition);
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  /// -1 for a text that is no token.
  int32_t find(std::string_view token) const;
  /// Empty for an id that no token has. An added token that is looked for in normalised text shows in that
  /// form.
  std::string_view token(int32_t id) const;
  bool has(int32_t id) const { return id >= 0 && id < size() && entries_[static_cast<size_t>(id)].used; }
  bool is_special(int32_t id) const { return has(id) && entries_[static_cast<size_t>(id)].special; }
  int32_t size() const { return static_cast<int32_t>(entries_.size()); }

 private:
  struct Entry {
    std::string token;
    bool used = false;
    bool special = false;
  };
  void insert(const std::string& token, int32_t id, const std::string& source);
  void add(const Definition& definition);

  std::vector<Entry> entries_;
  std::unordered_map<std::string_view, int32_t> ids_;    ///< views of entries_, which do not move any more
  std::unordered_map<int32_t, std::string> normalized_;  ///< added tokens whose normal form differs
};

}  // namespace prospect::tokenization
