#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// What a tokenizer.json says, as plain data: checked to be of the supported kind, not yet to be consistent.
namespace prospect::tokenization {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool single_word = false;  ///< matches only between non-word characters
  bool lstrip = false;       ///< swallows white space before it
  bool rstrip = false;       ///< and after it
  bool normalized = false;   ///< is looked for in the normalised text
  bool special = false;      ///< is left out by decode(skip_special_tokens)
};

/// Cuts by a pattern. Removed drops the matches; with invert, matches and gaps change places.
struct SplitRule {
  enum class Behavior { Isolated, Removed };
  std::string pattern;
  bool is_regex = true;
  Behavior behavior = Behavior::Isolated;
  bool invert = false;
};

/// Cuts numeric characters from the others, each by itself or in runs.
struct DigitsRule {
  bool individual = false;
};

/// Goes over to bytes; before that, may put a space in front and cut by GPT-2's expression.
struct ByteLevelRule {
  bool add_prefix_space = true;
  bool use_regex = true;
};

using PreTokenizerRule = std::variant<SplitRule, DigitsRule, ByteLevelRule>;

struct BpeDefinition {
  std::vector<std::pair<std::string, int32_t>> vocab;
  std::vector<std::pair<std::string, std::string>> merges;  ///< by rank
  std::string unk_token;                                    ///< empty: none
  bool fuse_unk = false;
  bool ignore_merges = false;
};

/// Ids that go around the encoded text: one TemplateProcessing, `single`.
struct Template {
  std::vector<int32_t> before;
  std::vector<int32_t> after;
};

struct Definition {
  std::string source;  ///< names the file in errors
  bool nfc = false;
  std::vector<AddedToken> added_tokens;
  std::vector<PreTokenizerRule> pre_tokenizer;  ///< Sequences flattened; the last one is ByteLevel
  BpeDefinition bpe;
  std::vector<Template> templates;  ///< in the order they are applied
};

/// Throws: Error(BadData) naming the component that is malformed or not supported.
Definition parse_definition(std::string_view json, const std::string& source);

/// What tokenizer_config.json adds.
struct ConfigOverrides {
  std::string bos_token, eos_token;
  /// Either key present: the template is made anew from both, as transformers 5 does.
  bool replaces_template = false;
  bool add_bos_token = false, add_eos_token = false;
};
ConfigOverrides parse_config(std::string_view json, const std::string& source);

}  // namespace prospect::tokenization
