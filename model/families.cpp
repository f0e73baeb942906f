#include <algorithm>

#include "model/family.h"
#include "model/rope_config.h"

namespace prospect {

namespace {

constexpr int64_t kMostVocabulary = 1 << 24, kMostWidth = 1 << 17, kMostInner = 1 << 20, kMostLayers = 1024,
                  kMostHeads = 4096, kMostPositions = 1 << 28;

void shape_gpt2(ModelConfig& config) {
  config.norm = NormKind::LayerNorm;
  config.positions = PositionKind::Learned;
  config.mlp = MlpKind::Gelu;
  config.qkv_bias = config.output_bias = config.mlp_bias = true;
}

void read_gpt2(const ConfigKeys& keys, ModelConfig& config) {
  keys.require_flag("scale_attn_weights", true);
  keys.require_flag("scale_attn_by_inverse_layer_idx", false);
  keys.require_flag("add_cross_attention", false);
  const std::string activation = keys.text("activation_function", "gelu_new");
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh" && activation != "gelu") {
    keys.refuse("activation_function", "\"{}\" is not supported; gelu_new, gelu_pytorch_tanh and gelu are",
                activation);
  }
  config.gelu = activation == "gelu" ? GeluKind::Exact : GeluKind::Tanh;
  config.kv_heads = config.heads;
  if (config.hidden_size % config.heads != 0) {
    keys.refuse("n_head", "{} does not divide n_embd {}", config.heads, config.hidden_size);
  }
  config.head_dim = config.hidden_size / config.heads;
  config.intermediate_size = keys.size_or("n_inner", kMostInner, 4 * config.hidden_size);
  config.embedding_dropout = keys.number_in("embd_pdrop", 0.1, 0, 1);
  config.residual_dropout = keys.number_in("resid_pdrop", 0.1, 0, 1);
}

void write_gpt2(const ModelConfig& config, const ModelConfig* original, ConfigJson& json) {
  write_changed(json, "n_inner", &ModelConfig::intermediate_size, config, original);
  write_changed(json, "embd_pdrop", &ModelConfig::embedding_dropout, config, original);
  write_changed(json, "resid_pdrop", &ModelConfig::residual_dropout, config, original);
  if (original == nullptr) {
    json["attn_pdrop"] = 0.0;
    json["activation_function"] = config.gelu == GeluKind::Exact ? "gelu" : "gelu_new";
  }
}

void shape_decoder(ModelConfig& config) {
  config.norm = NormKind::RmsNorm;
  config.positions = PositionKind::Rotary;
  config.mlp = MlpKind::SwiGlu;
  config.qkv_bias = config.output_bias = config.mlp_bias = false;
  config.embedding_dropout = config.residual_dropout = 0;
}

void shape_qwen2(ModelConfig& config) {
  shape_decoder(config);
  config.qkv_bias = true;
}

void shape_qwen3(ModelConfig& config) {
  shape_decoder(config);
  config.qk_norm = true;
}

/// What every decoder with rotary positions reads. kv_heads and head_dim are the family's where the file has
/// none; 0: as many as heads, and hidden_size / heads.
void read_decoder(const ConfigKeys& keys, ModelConfig& config, int64_t kv_heads, int64_t head_dim) {
  const std::string activation = keys.text("hidden_act", "silu");
  if (activation != "silu" && activation != "swish") {
    keys.refuse("hidden_act", "\"{}\" is not supported; silu is", activation);
  }
  const bool as_heads = kv_heads == 0 || keys.is_null("num_key_value_heads");
  config.kv_heads = keys.size_or("num_key_value_heads", kMostHeads, as_heads ? config.heads : kv_heads);
  if (keys.find("head_dim") == nullptr && head_dim == 0 && config.hidden_size % config.heads != 0) {
    keys.refuse("num_attention_heads", "{} does not divide hidden_size {}, and there is no head_dim",
                config.heads, config.hidden_size);
  }
  config.head_dim =
      keys.size_or("head_dim", kMostWidth, head_dim == 0 ? config.hidden_size / config.heads : head_dim);
  config.intermediate_size = keys.size("intermediate_size", kMostInner);
  read_rope(keys, config);
}

void write_decoder(const ModelConfig& config, const ModelConfig* original, ConfigJson& json) {
  write_changed(json, "num_key_value_heads", &ModelConfig::kv_heads, config, original);
  write_changed(json, "head_dim", &ModelConfig::head_dim, config, original);
  write_changed(json, "intermediate_size", &ModelConfig::intermediate_size, config, original);
  if (original == nullptr) json["hidden_act"] = "silu";
  write_rope(config, json);
}

void read_llama(const ConfigKeys& keys, ModelConfig& config) {
  read_decoder(keys, config, 0, 0);
  config.qkv_bias = config.output_bias = keys.flag("attention_bias", false);
  config.mlp_bias = keys.flag("mlp_bias", false);
}

void write_llama(const ModelConfig& config, const ModelConfig* original, ConfigJson& json) {
  write_decoder(config, original, json);
  write_changed(json, "attention_bias", &ModelConfig::qkv_bias, config, original);
  write_changed(json, "mlp_bias", &ModelConfig::mlp_bias, config, original);
}

/// `sliding_window` is 4096 where the key is absent, and none where it is null.
int64_t read_window(const ConfigKeys& keys) {
  constexpr const char* kKey = "sliding_window";
  return keys.is_null(kKey) ? 0 : keys.size_or(kKey, kMostPositions, 4096);
}

void read_mistral(const ConfigKeys& keys, ModelConfig& config) {
  read_decoder(keys, config, 8, 0);
  config.window = read_window(keys);
}

void write_mistral(const ModelConfig& config, const ModelConfig* original, ConfigJson& json) {
  write_decoder(config, original, json);
  if (original != nullptr && original->window == config.window) return;
  json["sliding_window"] = config.window == 0 ? ConfigJson() : ConfigJson(config.window);
}

/// `layer_types`, newer than `max_window_layers`, lists what each layer sees.
int64_t read_first_window_layer(const ConfigKeys& keys, const ModelConfig& config) {
  constexpr const char* kKey = "layer_types";
  const ConfigJson* types = keys.find(kKey);
  if (types == nullptr) {
    const ConfigJson* first = keys.find("max_window_layers");
    return first == nullptr ? 28 : keys.integer("max_window_layers", *first, 0, kMostLayers);
  }
  if (!types->is_array() || std::ssize(*types) != config.layers) {
    keys.refuse(kKey, "must list {} layers, got {}", config.layers, ConfigKeys::shown(*types));
  }
  const auto full = std::find_if(types->begin(), types->end(),
                                 [](const ConfigJson& type) { return type != "full_attention"; });
  if (!std::all_of(full, types->end(), [](const ConfigJson& type) { return type == "sliding_attention"; })) {
    keys.refuse(kKey, "only full_attention, then sliding_attention, is supported, got {}",
                ConfigKeys::shown(*types));
  }
  return full - types->begin();
}

/// The window stands in every file and counts only where it is switched on.
void read_qwen_window(const ConfigKeys& keys, ModelConfig& config) {
  if (keys.flag("use_sliding_window", false)) config.window = read_window(keys);
  config.first_window_layer = read_first_window_layer(keys, config);
  const bool listed = keys.find("layer_types") != nullptr && config.first_window_layer < config.layers;
  if (listed && config.window == 0) keys.refuse("layer_types", "sliding_attention without a window");
  if (config.window == 0) config.first_window_layer = 0;
}

void write_qwen_window(const ModelConfig& config, const ModelConfig* original, ConfigJson& json) {
  if (original != nullptr && original->window == config.window &&
      original->first_window_layer == config.first_window_layer) {
    return;
  }
  json.erase("layer_types");
  json["use_sliding_window"] = config.window > 0;
  json["sliding_window"] = config.window == 0 ? ConfigJson() : ConfigJson(config.window);
  json["max_window_layers"] = config.window == 0 ? config.layers : config.first_window_layer;
}

void read_qwen2(const ConfigKeys& keys, ModelConfig& config) {
  read_decoder(keys, config, 32, 0);
  read_qwen_window(keys, config);
}

void write_qwen2(const ModelConfig& config, const ModelConfig* original, ConfigJson& json) {
  write_decoder(config, original, json);
  write_qwen_window(config, original, json);
}

void read_qwen3(const ConfigKeys& keys, ModelConfig& config) {
  read_decoder(keys, config, 32, 128);
  config.qkv_bias = config.output_bias = keys.flag("attention_bias", false);
  read_qwen_window(keys, config);
}

void write_qwen3(const ModelConfig& config, const ModelConfig* original, ConfigJson& json) {
  write_qwen2(config, original, json);
  write_changed(json, "attention_bias", &ModelConfig::qkv_bias, config, original);
}

/// A decoder with the keys and defaults that Llama, Mistral and Qwen share.
constexpr Family decoder_family(const char* model_type, const char* architecture,
                                decltype(Family::shape) shape, decltype(Family::read) read,
                                decltype(Family::write) write) {
  return {.model_type = model_type,
          .architecture = architecture,
          .sizes = {{{"vocab_size", &ModelConfig::vocab_size, kMostVocabulary},
                     {"hidden_size", &ModelConfig::hidden_size, kMostWidth},
                     {"num_hidden_layers", &ModelConfig::layers, kMostLayers},
                     {"num_attention_heads", &ModelConfig::heads, kMostHeads},
                     {"max_position_embeddings", &ModelConfig::max_positions, kMostPositions}}},
          .norm_epsilon_key = "rms_norm_eps",
          .norm_epsilon = 1e-6,
          .tied_head = false,
          .shape = shape,
          .read = read,
          .write = write};
}

constexpr std::array kFamilies = {
    Family{.model_type = "gpt2",
           .architecture = "GPT2LMHeadModel",
           .sizes = {{{"vocab_size", &ModelConfig::vocab_size, kMostVocabulary},
                      {"n_embd", &ModelConfig::hidden_size, kMostWidth},
                      {"n_layer", &ModelConfig::layers, kMostLayers},
                      {"n_head", &ModelConfig::heads, kMostHeads},
                      {"n_positions", &ModelConfig::max_positions, kMostPositions}}},
           .norm_epsilon_key = "layer_norm_epsilon",
           .norm_epsilon = 1e-5,
           .tied_head = true,
           .shape = shape_gpt2,
           .read = read_gpt2,
           .write = write_gpt2},
    decoder_family("llama", "LlamaForCausalLM", shape_decoder, read_llama, write_llama),
    decoder_family("mistral", "MistralForCausalLM", shape_decoder, read_mistral, write_mistral),
    decoder_family("qwen2", "Qwen2ForCausalLM", shape_qwen2, read_qwen2, write_qwen2),
    decoder_family("qwen3", "Qwen3ForCausalLM", shape_qwen3, read_qwen3, write_qwen3),
};

}  // namespace

const Family& family_of(const ConfigKeys& keys) {
  const std::string type = keys.text("model_type", "");
  const ConfigJson* listed = keys.find("architectures");
  const std::string architectures = listed == nullptr ? "none named" : ConfigKeys::shown(*listed);
  std::string known;
  for (const Family& family : kFamilies) {
    if (type == family.model_type) {
      if (listed != nullptr && listed->is_array() && !listed->empty() &&
          listed->front() != family.architecture)
        keys.refuse("architectures", "{} is not supported; {} is", architectures, family.architecture);
      return family;
    }
    known += (known.empty() ? "" : ", ") + std::string(family.model_type);
  }
  keys.refuse("model_type", "\"{}\" (architectures: {}) is not supported; supported are {}", type,
              architectures, known);
}

const Family& family_of(const ModelConfig& config) {
  for (const Family& family : kFamilies) {
    if (config.model_type == family.model_type) return family;
  }
  fail(ExitCode::Bug, "config: no family {}", config.model_type);
}

}  // namespace prospect
