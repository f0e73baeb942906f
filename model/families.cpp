#include <cmath>
#include <optional>

#include "model/family.h"

namespace prospect {

namespace {

constexpr int64_t kMostVocabulary = 1 << 24, kMostWidth = 1 << 17, kMostInner = 1 << 20, kMostLayers = 1024,
                  kMostHeads = 4096, kMostPositions = 1 << 28;

void read_gpt2(const ConfigKeys& keys, ModelConfig& config) {
  keys.require_flag("scale_attn_weights", true);
  keys.require_flag("scale_attn_by_inverse_layer_idx", false);
  keys.require_flag("add_cross_attention", false);
  const std::string activation = keys.text("activation_function", "gelu_new");
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh" && activation != "gelu") {
    keys.refuse("activation_function", "\"{}\" is not supported; gelu_new, gelu_pytorch_tanh and gelu are",
                activation);
  }
  config.norm = NormKind::LayerNorm;
  config.positions = PositionKind::Learned;
  config.mlp = MlpKind::Gelu;
  config.gelu = activation == "gelu" ? GeluKind::Exact : GeluKind::Tanh;
  config.qkv_bias = config.output_bias = config.mlp_bias = true;
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

/// The object that says how positions rotate: `rope_parameters` (transformers 5) or `rope_scaling`.
void read_rope(const ConfigKeys& keys, ModelConfig& config) {
  std::optional<double> theta;
  if (keys.find("rope_theta") != nullptr) theta = keys.number("rope_theta", 0);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const ConfigJson* object = keys.find(key);
    if (object == nullptr) continue;
    if (!object->is_object()) keys.refuse(key, "must be an object, got {}", ConfigKeys::shown(*object));
    const ConfigKeys rope(*object, keys.source() + ": " + key);
    const std::string type = rope.text("rope_type", rope.text("type", "default"));
    if (type != "default") rope.refuse("rope_type", "\"{}\" is not supported; default is", type);
    if (rope.find("rope_theta") == nullptr) continue;
    const double value = rope.number("rope_theta", 0);
    if (theta && *theta != value) {
      keys.refuse("rope_theta", "{} contradicts {}.rope_theta {}", *theta, key, value);
    }
    theta = value;
  }
  config.rope_theta = theta.value_or(10000);
  if (!(config.rope_theta > 0) || !std::isfinite(config.rope_theta)) {
    keys.refuse("rope_theta", "must be positive, got {}", config.rope_theta);
  }
  if (keys.number("partial_rotary_factor", 1) != 1) {
    keys.refuse("partial_rotary_factor", "only 1 is supported");
  }
  keys.require_flag("rope_interleaved", false);
}

void write_rope(const ModelConfig& config, ConfigJson& json) {
  json["rope_theta"] = config.rope_theta;
  if (!json.contains("rope_parameters") || !json["rope_parameters"].is_object()) {
    json["rope_parameters"] = ConfigJson::object();
  }
  json["rope_parameters"]["rope_theta"] = config.rope_theta;
  json["rope_parameters"]["rope_type"] = "default";
}

void read_llama(const ConfigKeys& keys, ModelConfig& config) {
  const std::string activation = keys.text("hidden_act", "silu");
  if (activation != "silu" && activation != "swish") {
    keys.refuse("hidden_act", "\"{}\" is not supported; silu is", activation);
  }
  config.norm = NormKind::RmsNorm;
  config.positions = PositionKind::Rotary;
  config.mlp = MlpKind::SwiGlu;
  config.kv_heads = keys.size_or("num_key_value_heads", kMostHeads, config.heads);
  if (keys.find("head_dim") == nullptr && config.hidden_size % config.heads != 0) {
    keys.refuse("num_attention_heads", "{} does not divide hidden_size {}, and there is no head_dim",
                config.heads, config.hidden_size);
  }
  config.head_dim = keys.size_or("head_dim", kMostWidth, config.hidden_size / config.heads);
  config.intermediate_size = keys.size("intermediate_size", kMostInner);
  config.qkv_bias = config.output_bias = keys.flag("attention_bias", false);
  config.mlp_bias = keys.flag("mlp_bias", false);
  config.embedding_dropout = config.residual_dropout = 0;
  read_rope(keys, config);
}

void write_llama(const ModelConfig& config, const ModelConfig* original, ConfigJson& json) {
  write_changed(json, "num_key_value_heads", &ModelConfig::kv_heads, config, original);
  write_changed(json, "head_dim", &ModelConfig::head_dim, config, original);
  write_changed(json, "intermediate_size", &ModelConfig::intermediate_size, config, original);
  write_changed(json, "attention_bias", &ModelConfig::qkv_bias, config, original);
  write_changed(json, "mlp_bias", &ModelConfig::mlp_bias, config, original);
  if (original == nullptr) json["hidden_act"] = "silu";
  write_rope(config, json);
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
           .read = read_gpt2,
           .write = write_gpt2},
    Family{.model_type = "llama",
           .architecture = "LlamaForCausalLM",
           .sizes = {{{"vocab_size", &ModelConfig::vocab_size, kMostVocabulary},
                      {"hidden_size", &ModelConfig::hidden_size, kMostWidth},
                      {"num_hidden_layers", &ModelConfig::layers, kMostLayers},
                      {"num_attention_heads", &ModelConfig::heads, kMostHeads},
                      {"max_position_embeddings", &ModelConfig::max_positions, kMostPositions}}},
           .norm_epsilon_key = "rms_norm_eps",
           .norm_epsilon = 1e-6,
           .tied_head = false,
           .read = read_llama,
           .write = write_llama},
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
