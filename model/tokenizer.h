#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace prospect {

/// Byte-level BPE, with the ids that Hugging Face tokenizers gives for the same tokenizer.json. Immutable;
/// encode may be called from several threads. Letters and digits that Unicode gained after the versions of
/// the installed Oniguruma (14 on Debian 12) and utf8proc may be cut differently.
class Tokenizer {
 public:
  /// From tokenizer.json (and tokenizer_config.json, where it stands beside) in a Hugging Face folder, or
  /// from the vocabulary inside a .gguf file. Throws: Error(MissingInput), Error(BadData) naming the
  /// component that is not supported or not sound.
  static Tokenizer load(const std::filesystem::path& model);
  /// From the text of a tokenizer.json; `source` names it in errors. `config_json` is the text of a
  /// tokenizer_config.json, or empty: it names BOS and EOS, and its add_bos_token and add_eos_token, where
  /// present, replace what the post-processor puts around a text.
  static Tokenizer from_json(std::string_view json, const std::string& source,
                             std::string_view config_json = {});

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Added tokens inside the text become their ids. With add_special_tokens the post-processor's (BOS) come
  /// too. Bytes that are not UTF-8 count as U+FFFD.
  /// Throws: Error(BadData) when a pattern of the tokenizer runs away on this text.
  std::vector<int32_t> encode(std::string_view text, bool add_special_tokens = true) const;
  /// Bytes that are not UTF-8 become U+FFFD.
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens = false) const;
  /// -1 for a text that is no token.
  int32_t token_id(std::string_view token) const;
  std::string token(int32_t id) const;
  /// One more than the largest id.
  int32_t size() const;
  /// The texts of BOS and EOS by tokenizer_config.json; empty where it names none.
  const std::string& bos_text() const;
  const std::string& eos_text() const;

 private:
  struct Pipeline;
  explicit Tokenizer(std::unique_ptr<const Pipeline> pipeline);
  std::unique_ptr<const Pipeline> pipeline_;
};

}  // namespace prospect
