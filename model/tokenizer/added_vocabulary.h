#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/tokenizer/definition.h"

namespace prospect::tokenization {

/// Finds added tokens in a text: the leftmost first, of those that begin there the longest.
class TokenFinder {
 public:
  /// Tokens by their form in the text that will be searched; empty forms are never found.
  void add(std::string_view form, const AddedToken& token);

  /// Called with the text between tokens (never empty), and with the tokens' ids, in order.
  struct Visitor {
    std::function<void(std::string_view)> text;
    std::function<void(int32_t)> token;
  };
  void walk(std::string_view text, const Visitor& visitor) const;

 private:
  struct Node {
    int32_t token = -1;  ///< index into tokens_ of the form that ends here
    std::vector<std::pair<char, int32_t>> next;
  };
  struct Match {
    size_t begin = 0, end = 0;
    int32_t token = -1;
  };
  bool is_empty() const { return tokens_.empty(); }
  int32_t child(int32_t node, char byte) const;
  Match find(std::string_view text, size_t from) const;

  std::vector<Node> nodes_{1};
  std::vector<AddedToken> tokens_;
  std::vector<bool> begins_ = std::vector<bool>(256);  ///< bytes with which a form begins
};

}  // namespace prospect::tokenization
