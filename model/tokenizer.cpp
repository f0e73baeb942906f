#include "model/tokenizer.h"

#include "engine/files.h"
#include "kernels/common/check.h"
#include "model/gguf.h"
#include "model/gguf_tokenizer.h"
#include "model/tokenizer/added_vocabulary.h"
#include "model/tokenizer/bpe.h"
#include "model/tokenizer/byte_alphabet.h"
#include "model/tokenizer/definition.h"
#include "model/tokenizer/pre_tokenizer.h"
#include "model/tokenizer/unicode.h"
#include "model/tokenizer/vocabulary.h"

namespace prospect {

using namespace tokenization;

struct Tokenizer::Pipeline {
  Vocabulary vocabulary;
  bool nfc;
  TokenFinder raw_tokens;         ///< looked for in the text as it comes
  TokenFinder normalized_tokens;  ///< looked for in the normalised text between those
  PreTokenizer pre_tokenizer;
  Bpe bpe;
  std::vector<Template> templates;
  std::string bos_text, eos_text;

  explicit Pipeline(const Definition& definition);
  void check_templates(const std::string& source) const;
  void override_by(const ConfigOverrides& config, const std::string& source);
  void encode_text(std::string_view text, std::vector<int32_t>& ids) const;
};

Tokenizer::Pipeline::Pipeline(const Definition& definition)
    : vocabulary(definition),
      nfc(definition.nfc),
      pre_tokenizer(definition.pre_tokenizer, definition.source),
      bpe(definition.bpe, vocabulary, definition.source),
      templates(definition.templates) {
  for (const AddedToken& token : definition.added_tokens) {
    if (!token.normalized) {
      raw_tokens.add(token.content, token);
    } else {
      normalized_tokens.add(nfc ? to_nfc(token.content) : token.content, token);
    }
  }
  check_templates(definition.source);
}

void Tokenizer::Pipeline::check_templates(const std::string& source) const {
  for (const Template& around : templates) {
    for (const std::vector<int32_t>& side : {around.before, around.after}) {
      for (const int32_t id : side) {
        if (!vocabulary.has(id))
          fail(ExitCode::BadData, "{}: post_processor: no token has id {}", source, id);
      }
    }
  }
}

void Tokenizer::Pipeline::override_by(const ConfigOverrides& config, const std::string& source) {
  bos_text = config.bos_token;
  eos_text = config.eos_token;
  if (!config.replaces_template) return;
  const auto id_of = [&](const std::string& token) {
    const int32_t id = vocabulary.find(token);
    if (id < 0) fail(ExitCode::BadData, "{}: \"{}\" is no token", source, token);
    return id;
  };
  Template around;
  if (config.add_bos_token) around.before.push_back(id_of(bos_text));
  if (config.add_eos_token) around.after.push_back(id_of(eos_text));
  templates = {around};
}

void Tokenizer::Pipeline::encode_text(std::string_view text, std::vector<int32_t>& ids) const {
  const auto add_id = [&](int32_t id) { ids.push_back(id); };
  const auto encode_plain = [&](std::string_view plain) {
    const Pieces pieces = pre_tokenizer.cut(plain);
    for (const std::string_view piece : pieces.views) bpe.encode(piece, ids);
  };
  const auto encode_between = [&](std::string_view between) {
    const std::string normal = nfc ? to_nfc(between) : std::string();
    normalized_tokens.walk(nfc ? std::string_view(normal) : between, {.text = encode_plain, .token = add_id});
  };
  raw_tokens.walk(text, {.text = encode_between, .token = add_id});
}

Tokenizer::Tokenizer(std::unique_ptr<const Pipeline> pipeline) : pipeline_(std::move(pipeline)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::from_json(std::string_view json, const std::string& source,
                               std::string_view config_json) {
  auto pipeline = std::make_unique<Pipeline>(parse_definition(json, source));
  const std::string config_source = source + " (tokenizer_config)";
  if (!config_json.empty()) pipeline->override_by(parse_config(config_json, config_source), config_source);
  return Tokenizer(std::move(pipeline));
}

Tokenizer Tokenizer::load(const std::filesystem::path& model) {
  if (model.extension() == ".gguf") {
    const GgufTokenizer imported = read_gguf_tokenizer(GgufFile(model));
    return from_json(tokenizer_json_from_gguf(imported), imported.source,
                     tokenizer_config_from_gguf(imported));
  }
  const std::filesystem::path file = std::filesystem::is_directory(model) ? model / "tokenizer.json" : model;
  const std::filesystem::path config = file.parent_path() / "tokenizer_config.json";
  const std::string config_json = std::filesystem::exists(config) ? read_text(config) : std::string();
  return from_json(read_text(file), file.string(), config_json);
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  std::vector<int32_t> ids;
  if (add_special_tokens) {
    for (const Template& around : pipeline_->templates)
      ids.insert(ids.begin(), around.before.begin(), around.before.end());
  }
  if (is_valid_utf8(text)) {
    pipeline_->encode_text(text, ids);
  } else {
    pipeline_->encode_text(replace_invalid_utf8(text), ids);
  }
  if (add_special_tokens) {
    for (const Template& around : pipeline_->templates)
      ids.insert(ids.end(), around.after.begin(), around.after.end());
  }
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (skip_special_tokens && pipeline_->vocabulary.is_special(id)) continue;
    const std::string_view token = pipeline_->vocabulary.token(id);
    if (const auto meant = bytes_of_text(token)) {
      bytes += *meant;
    } else {
      bytes += token;
    }
  }
  return is_valid_utf8(bytes) ? bytes : replace_invalid_utf8(bytes);
}

int32_t Tokenizer::token_id(std::string_view token) const {
  return pipeline_->vocabulary.find(token);
}
std::string Tokenizer::token(int32_t id) const {
  return std::string(pipeline_->vocabulary.token(id));
}
int32_t Tokenizer::size() const {
  return pipeline_->vocabulary.size();
}
const std::string& Tokenizer::bos_text() const {
  return pipeline_->bos_text;
}
const std::string& Tokenizer::eos_text() const {
  return pipeline_->eos_text;
}

}  // namespace prospect
