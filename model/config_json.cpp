#include "model/config_json.h"

#include <array>

#include <optional>

#include "model/family.h"

namespace prospect {

namespace {

/// A token id, a list of them, or nothing; negative ids mean none.
std::vector<int32_t> read_tokens(const ConfigKeys& keys, const char* key, int64_t vocab_size) {
  const ConfigJson* value = keys.find(key);
  std::vector<int32_t> ids;
  if (value == nullptr) return ids;
  const ConfigJson list = value->is_array() ? *value : ConfigJson::array({*value});
  for (const ConfigJson& item : list) {
    const int64_t id = keys.integer(key, item, -1, INT32_MAX);
    if (id >= vocab_size) keys.refuse(key, "{} is not below vocab_size {}", id, vocab_size);
    if (id >= 0) ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

int32_t read_token(const ConfigKeys& keys, const char* key, int64_t vocab_size) {
  const std::vector<int32_t> ids = read_tokens(keys, key, vocab_size);
  return ids.empty() ? -1 : ids.front();
}

ConfigJson token_json(int32_t id) {
  return id < 0 ? ConfigJson() : ConfigJson(id);
}

void write_tokens(const ModelConfig& config, const ModelConfig* original, ConfigJson& json) {
  if (original == nullptr || original->eos_tokens != config.eos_tokens) {
    json["eos_token_id"] = config.eos_tokens.size() == 1 ? ConfigJson(config.eos_tokens.front())
                           : config.eos_tokens.empty()   ? ConfigJson()
                                                         : ConfigJson(config.eos_tokens);
  }
  if (original == nullptr || original->bos_token != config.bos_token) {
    json["bos_token_id"] = token_json(config.bos_token);
  }
  if (original == nullptr || original->pad_token != config.pad_token) {
    json["pad_token_id"] = token_json(config.pad_token);
  }
}

struct StoredDType {
  const char *name, *torch_name;
};
constexpr std::array kStoredDTypes = {StoredDType{"F32", "float32"}, StoredDType{"F16", "float16"},
                                      StoredDType{"BF16", "bfloat16"}, StoredDType{"F64", "float64"}};

std::string torch_name(std::string_view stored_dtype) {
  for (const StoredDType& dtype : kStoredDTypes) {
    if (stored_dtype == dtype.name) return dtype.torch_name;
  }
  fail(ExitCode::Bug, "config: no weights are stored as {}", stored_dtype);
}

/// The dtype of the newer key, else of the older one, else single precision.
std::string read_stored_dtype(const ConfigKeys& keys) {
  for (const char* key : {"dtype", "torch_dtype"}) {
    const ConfigJson* value = keys.find(key);
    if (value == nullptr) continue;
    for (const StoredDType& dtype : kStoredDTypes) {
      if (*value == dtype.torch_name) return dtype.name;
    }
  }
  return "F32";
}

ConfigJson parse_object(std::string_view text, const std::string& source) {
  constexpr size_t kMostBytes = 256 << 10;
  if (text.size() > kMostBytes) {
    fail(ExitCode::BadData, "{}: larger than the {} bytes a config may have", source, kMostBytes);
  }
  ConfigJson json = parse_json<ConfigJson>(text, source);
  if (!json.is_object()) fail(ExitCode::BadData, "{}: must be a JSON object", source);
  return json;
}

}  // namespace

ModelConfig config_from_json(std::string_view text, const std::string& source) {
  const ConfigJson json = parse_object(text, source);
  const ConfigKeys keys(json, source);
  const Family& family = family_of(keys);
  if (keys.find("quantization_config") != nullptr) {
    keys.refuse("quantization_config", "quantised Hugging Face folders are not supported");
  }
  ModelConfig config;
  config.model_type = family.model_type;
  for (const SizeKey& size : family.sizes) {
    config.*size.field = keys.size(size.key, size.most);
  }
  config.norm_epsilon = keys.number_in(family.norm_epsilon_key, family.norm_epsilon, 0, 1);
  config.tied_head = keys.flag("tie_word_embeddings", family.tied_head);
  family.shape(config);
  family.read(keys, config);
  config.eos_tokens = read_tokens(keys, "eos_token_id", config.vocab_size);
  config.bos_token = read_token(keys, "bos_token_id", config.vocab_size);
  config.pad_token = read_token(keys, "pad_token_id", config.vocab_size);
  config.stored_dtype = read_stored_dtype(keys);
  config.source_json = text;
  require_sound(config, source);
  return config;
}

std::string config_to_json(const ModelConfig& config, std::string_view stored_dtype) {
  const Family& family = family_of(config);
  std::optional<ModelConfig> read;
  ConfigJson json = ConfigJson::object();
  if (!config.source_json.empty()) {
    read = config_from_json(config.source_json, "config.json");
    json = parse_object(config.source_json, "config.json");
  } else {
    json["architectures"] = ConfigJson::array({family.architecture});
  }
  const ModelConfig* original = read ? &*read : nullptr;
  json["model_type"] = family.model_type;
  for (const SizeKey& size : family.sizes) write_changed(json, size.key, size.field, config, original);
  write_changed(json, family.norm_epsilon_key, &ModelConfig::norm_epsilon, config, original);
  write_changed(json, "tie_word_embeddings", &ModelConfig::tied_head, config, original);
  family.write(config, original, json);
  write_tokens(config, original, json);
  json["torch_dtype"] = torch_name(stored_dtype);
  json["dtype"] = torch_name(stored_dtype);
  return json.dump(2) + "\n";
}

void require_sound(const ModelConfig& config, const std::string& source) {
  const auto require = [&](bool sound, std::string_view key, const std::string& reason) {
    if (!sound) fail(ExitCode::BadData, "{}: {}: {}", source, key, reason);
  };
  require(config.heads % config.kv_heads == 0, "num_key_value_heads",
          fmt::format("{} does not divide the {} heads", config.kv_heads, config.heads));
  require(config.head_dim >= 8 && config.head_dim % 8 == 0 && config.head_dim <= 256, "head_dim",
          fmt::format("must be a multiple of 8, at most 256, got {}", config.head_dim));
}

}  // namespace prospect
