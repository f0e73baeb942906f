#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace prospect {

class GgufFile;

/// The tokenizer inside a GGUF file: its keys tokenizer.ggml.* and tokenizer.chat_template.
/// Source: GGUF specification, "Tokenizer".
struct GgufTokenizer {
  std::string source;  ///< names the file in errors
  std::string model;   ///< "gpt2": byte-level BPE
  std::string pre;     ///< the family's way of splitting
  std::vector<std::string> tokens = {};
  /// 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
  std::vector<int32_t> token_types = {};
  std::vector<std::string> merges = {};                    ///< "a b"
  int64_t bos = -1, eos = -1, unknown = -1, padding = -1;  ///< ids; -1: none
  int add_bos = -1, add_eos = -1;                          ///< 0 or 1; -1: the family's habit
  std::string chat_template = {};
  std::string huggingface_json = {};  ///< a whole tokenizer.json, where the file carries one
};

/// Throws: Error(BadData) for a key of the wrong kind, or none where one is needed.
GgufTokenizer read_gguf_tokenizer(const GgufFile& file);

/// The text of a tokenizer.json that gives the family's ids: control tokens become special added tokens,
/// user-defined ones plain added tokens, unused ones are left out; the pipeline follows from `pre`.
/// Throws: Error(BadData) naming a model or a `pre` that is not supported, or what contradicts itself.
std::string tokenizer_json_from_gguf(const GgufTokenizer& tokenizer);

/// The text of a tokenizer_config.json beside it: class, special tokens, chat template.
std::string tokenizer_config_from_gguf(const GgufTokenizer& tokenizer);

}  // namespace prospect
