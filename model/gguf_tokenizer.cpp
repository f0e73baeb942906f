#include "model/gguf_tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "kernels/common/check.h"
#include "model/gguf.h"
#include "model/tokenizer/unicode.h"

namespace prospect {
namespace {

using Json = nlohmann::ordered_json;

enum TokenType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5 };

constexpr const char* kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// What Hugging Face's file of a family says where GGUF has a name only.
struct Pipeline {
  std::vector<const char*> names;
  const char* pattern;  ///< of a Split; nullptr: GPT-2's, inside ByteLevel
  bool single_digits = false;
  bool nfc = false;
  bool ignore_merges = false;
  bool adds_bos = false;
};

const Pipeline& pipeline_of(const GgufTokenizer& tokenizer) {
  static const std::vector<Pipeline> pipelines = {
      {.names = {"gpt-2", "phi-2"}, .pattern = nullptr},
      {.names = {"smollm", "starcoder", "refact"}, .pattern = nullptr, .single_digits = true},
      {.names = {"llama-bpe", "llama3", "llama-v3"},
       .pattern = kLlama3Pattern,
       .ignore_merges = true,
       .adds_bos = true},
      {.names = {"qwen2", "deepseek-r1-qwen"}, .pattern = kQwen2Pattern, .nfc = true},
  };
  for (const Pipeline& pipeline : pipelines) {
    for (const char* name : pipeline.names) {
      if (tokenizer.pre == name) return pipeline;
    }
  }
  fail(ExitCode::BadData, "{}: tokenizer.ggml.pre: \"{}\" is not supported", tokenizer.source, tokenizer.pre);
}

void check(const GgufTokenizer& tokenizer) {
  const auto refuse = [&](const std::string& words) {
    fail(ExitCode::BadData, "{}: tokenizer.ggml.{}", tokenizer.source, words);
  };
  if (tokenizer.model != "gpt2") refuse(fmt::format("model: \"{}\" is not supported", tokenizer.model));
  if (tokenizer.token_types.size() != tokenizer.tokens.size()) {
    refuse(fmt::format("token_type: {} types for {} tokens", tokenizer.token_types.size(),
                       tokenizer.tokens.size()));
  }
  std::unordered_set<std::string_view> seen;
  for (size_t id = 0; id < tokenizer.tokens.size(); ++id) {
    const int32_t type = tokenizer.token_types[id];
    if (type == kUnused) continue;
    if (type < kNormal || type > kUnused)
      refuse(fmt::format("token_type[{}]: {} is not supported", id, type));
    if (!tokenization::is_valid_utf8(tokenizer.tokens[id])) refuse(fmt::format("tokens[{}]: not UTF-8", id));
    if (!seen.insert(tokenizer.tokens[id]).second)
      refuse(fmt::format("tokens[{}]: \"{}\" comes twice", id, tokenizer.tokens[id]));
  }
  for (size_t i = 0; i < tokenizer.merges.size(); ++i) {
    if (!tokenization::is_valid_utf8(tokenizer.merges[i])) refuse(fmt::format("merges[{}]: not UTF-8", i));
  }
}

Json added_tokens(const GgufTokenizer& tokenizer) {
  Json added = Json::array();
  for (size_t id = 0; id < tokenizer.tokens.size(); ++id) {
    const int32_t type = tokenizer.token_types[id];
    if (type != kUnknown && type != kControl && type != kUserDefined) continue;
    added.push_back({{"id", id},
                     {"content", tokenizer.tokens[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", type != kUserDefined}});
  }
  return added;
}

Json byte_level(bool add_prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

Json pre_tokenizer(const Pipeline& pipeline) {
  Json steps = Json::array();
  if (pipeline.single_digits) steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  if (pipeline.pattern != nullptr) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", pipeline.pattern}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  steps.push_back(byte_level(false, pipeline.pattern == nullptr));
  if (steps.size() == 1) return steps[0];
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

/// Empty where the file names no such token. It is UTF-8, also where the token is an unused one.
std::string token_text(const GgufTokenizer& tokenizer, int64_t id, const char* key) {
  if (id < 0) return {};
  if (id >= static_cast<int64_t>(tokenizer.tokens.size())) {
    fail(ExitCode::BadData, "{}: tokenizer.ggml.{}: {}, but there are {} tokens", tokenizer.source, key, id,
         tokenizer.tokens.size());
  }
  const std::string& text = tokenizer.tokens[static_cast<size_t>(id)];
  if (!tokenization::is_valid_utf8(text)) {
    fail(ExitCode::BadData, "{}: tokenizer.ggml.{}: its token is not UTF-8", tokenizer.source, key);
  }
  return text;
}

Json post_processor(const GgufTokenizer& tokenizer, const Pipeline& pipeline) {
  const Json single_text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
             second_text = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
  Json single = Json::array(), pair = Json::array(), tokens = Json::object();
  const auto add_token = [&](int64_t id, const char* key) {
    const std::string text = token_text(tokenizer, id, key);
    if (text.empty())
      fail(ExitCode::BadData, "{}: tokenizer.ggml.{} is missing, but is to be added to texts",
           tokenizer.source, key);
    tokens[text] = {{"id", text}, {"ids", Json::array({id})}, {"tokens", Json::array({text})}};
    const Json piece = {{"SpecialToken", {{"id", text}, {"type_id", 0}}}};
    single.push_back(piece);
    pair.push_back(piece);
  };
  const bool adds_bos = tokenizer.add_bos < 0 ? pipeline.adds_bos : tokenizer.add_bos != 0;
  if (!adds_bos && tokenizer.add_eos <= 0) return byte_level(true, true);
  if (adds_bos) add_token(tokenizer.bos, "bos_token_id");
  single.push_back(single_text);
  pair.push_back(single_text);
  pair.push_back(second_text);
  if (tokenizer.add_eos > 0) add_token(tokenizer.eos, "eos_token_id");
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}};
}

/// "token": id, by id. Written by hand: an ordered object searches all its keys for each new one.
std::string vocabulary_text(const GgufTokenizer& tokenizer) {
  std::string text;
  for (size_t id = 0; id < tokenizer.tokens.size(); ++id) {
    if (tokenizer.token_types[id] == kUnused) continue;
    text += fmt::format("{}{}:{}", text.empty() ? "" : ",", Json(tokenizer.tokens[id]).dump(), id);
  }
  return "{" + text + "}";
}

}  // namespace

GgufTokenizer read_gguf_tokenizer(const GgufFile& file) {
  const std::string ggml = "tokenizer.ggml.";
  const auto text = [&](const std::string& key) { return std::string(file.text(key).value_or("")); };
  const auto texts = [&](const std::string& key) {
    const auto views = file.texts(ggml + key);
    if (!views) file.refuse(ggml + key, "is missing");
    return std::vector<std::string>(views->begin(), views->end());
  };
  const auto id = [&](const char* key) { return file.integer(ggml + key).value_or(-1); };
  const auto choice = [&](const char* key) {
    const std::optional<bool> flag = file.flag(ggml + key);
    return flag ? static_cast<int>(*flag) : -1;
  };
  GgufTokenizer tokenizer{.source = file.name(), .model = text(ggml + "model"), .pre = text(ggml + "pre")};
  tokenizer.huggingface_json = text("tokenizer.huggingface.json");
  tokenizer.chat_template = text("tokenizer.chat_template");
  tokenizer.tokens = texts("tokens");
  if (tokenizer.model == "gpt2") tokenizer.merges = texts("merges");
  for (const int64_t type : file.integers(ggml + "token_type").value_or(std::vector<int64_t>())) {
    tokenizer.token_types.push_back(static_cast<int32_t>(std::clamp<int64_t>(type, -1, 1000)));
  }
  tokenizer.bos = id("bos_token_id");
  tokenizer.eos = id("eos_token_id");
  tokenizer.unknown = id("unknown_token_id");
  tokenizer.padding = id("padding_token_id");
  tokenizer.add_bos = choice("add_bos_token");
  tokenizer.add_eos = choice("add_eos_token");
  return tokenizer;
}

std::string tokenizer_json_from_gguf(const GgufTokenizer& tokenizer) {
  if (!tokenizer.huggingface_json.empty()) return tokenizer.huggingface_json;
  check(tokenizer);
  const Pipeline& pipeline = pipeline_of(tokenizer);
  const Json file = {{"version", "1.0"},
                     {"truncation", nullptr},
                     {"padding", nullptr},
                     {"added_tokens", added_tokens(tokenizer)},
                     {"normalizer", pipeline.nfc ? Json{{"type", "NFC"}} : Json()},
                     {"pre_tokenizer", pre_tokenizer(pipeline)},
                     {"post_processor", post_processor(tokenizer, pipeline)},
                     {"decoder", byte_level(true, true)}};
  const Json model = {{"type", "BPE"},
                      {"dropout", nullptr},
                      {"unk_token", nullptr},
                      {"continuing_subword_prefix", nullptr},
                      {"end_of_word_suffix", nullptr},
                      {"fuse_unk", false},
                      {"byte_fallback", false},
                      {"ignore_merges", pipeline.ignore_merges}};
  std::string head = file.dump(), model_head = model.dump();
  head.pop_back();  // the closing braces: more members follow
  model_head.pop_back();
  return fmt::format("{},\"model\":{},\"vocab\":{},\"merges\":{}}}}}\n", head, model_head,
                     vocabulary_text(tokenizer), Json(tokenizer.merges).dump());
}

std::string tokenizer_config_from_gguf(const GgufTokenizer& tokenizer) {
  Json config = {{"clean_up_tokenization_spaces", false}, {"tokenizer_class", "PreTrainedTokenizerFast"}};
  const auto name = [&](const char* key, int64_t id, const char* gguf_key) {
    const std::string text = token_text(tokenizer, id, gguf_key);
    if (!text.empty()) config[key] = text;
  };
  name("bos_token", tokenizer.bos, "bos_token_id");
  name("eos_token", tokenizer.eos, "eos_token_id");
  name("unk_token", tokenizer.unknown, "unknown_token_id");
  name("pad_token", tokenizer.padding, "padding_token_id");
  if (!tokenization::is_valid_utf8(tokenizer.chat_template))
    fail(ExitCode::BadData, "{}: tokenizer.chat_template: not UTF-8", tokenizer.source);
  if (!tokenizer.chat_template.empty()) config["chat_template"] = tokenizer.chat_template;
  return config.dump(2) + "\n";
}

}  // namespace prospect
