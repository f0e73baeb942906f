#include "model/gguf_model.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "kernels/common/check.h"
#include "model/config_json.h"
#include "model/family.h"
#include "model/rope.h"

namespace prospect {

namespace {

struct Rename {
  std::string_view theirs, ours;
};
constexpr std::array kModelNames = {Rename{"token_embd.weight", "model.embed_tokens.weight"},
                                    Rename{"output_norm.weight", "model.norm.weight"},
                                    Rename{"output.weight", "lm_head.weight"}};
/// Of the tensors of a layer, without ".weight" and ".bias".
constexpr std::array kLayerNames = {
    Rename{"attn_norm", "input_layernorm"},    Rename{"attn_q", "self_attn.q_proj"},
    Rename{"attn_k", "self_attn.k_proj"},      Rename{"attn_v", "self_attn.v_proj"},
    Rename{"attn_q_norm", "self_attn.q_norm"}, Rename{"attn_k_norm", "self_attn.k_norm"},
    Rename{"attn_output", "self_attn.o_proj"}, Rename{"ffn_norm", "post_attention_layernorm"},
    Rename{"ffn_gate", "mlp.gate_proj"},       Rename{"ffn_up", "mlp.up_proj"},
    Rename{"ffn_down", "mlp.down_proj"}};

/// One row an architecture: the family it is, and whether llama.cpp's converter moved the rotary rows of
/// queries and keys into interleaved pairs.
struct Architecture {
  std::string_view name;
  const char* model_type;
  bool interleaved;
};
constexpr std::array kArchitectures = {Architecture{"llama", "llama", true},
                                       Architecture{"qwen2", "qwen2", false},
                                       Architecture{"qwen3", "qwen3", false}};
constexpr const char* kRopeDivisors = "rope_freqs.weight";

/// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; empty for a name we do not know.
std::string renamed(std::string_view name) {
  for (const Rename& rename : kModelNames) {
    if (name == rename.theirs) return std::string(rename.ours);
  }
  if (!name.starts_with("blk.")) return "";
  name.remove_prefix(4);
  const size_t dot = name.find('.'), ending = name.rfind('.');
  if (dot == name.npos || ending <= dot) return "";
  const std::string_view layer = name.substr(0, dot), middle = name.substr(dot + 1, ending - dot - 1);
  for (const Rename& rename : kLayerNames) {
    if (middle == rename.theirs)
      return fmt::format("model.layers.{}.{}{}", layer, rename.ours, name.substr(ending));
  }
  return "";
}

/// The double whose shortest decimal is that of the float: 1e-5, not 9.99999974e-06.
double shortest(double value) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), static_cast<float>(value)).ptr;
  double result = value;
  std::from_chars(text.data(), end, result);
  return result;
}

int64_t size_of(const GgufFile& file, const std::string& key, int64_t most) {
  const std::optional<int64_t> value = file.integer(key);
  if (!value) file.refuse(key, "missing");
  if (*value < 1 || *value > most) file.refuse(key, fmt::format("must be in [1, {}], got {}", most, *value));
  return *value;
}

int32_t token_of(const GgufFile& file, const std::string& key, int64_t vocab_size) {
  const int64_t id = file.integer(key).value_or(-1);
  if (id < -1 || id >= vocab_size) file.refuse(key, fmt::format("{} is not below {} tokens", id, vocab_size));
  return static_cast<int32_t>(id);
}

void require_plain_rope(const GgufFile& file, const std::string& prefix, int64_t head_dim) {
  const std::string scaling = prefix + "rope.scaling.type", dimensions = prefix + "rope.dimension_count";
  if (file.text(scaling).value_or("none") != "none")
    file.refuse(scaling, "scaled positions are not supported");
  if (file.integer(dimensions).value_or(head_dim) != head_dim) {
    file.refuse(dimensions, fmt::format("must be the head size {}", head_dim));
  }
}

/// The divisors of frequencies, which is all that GGUF keeps of Llama 3's stretching. The config needs its
/// parameters: those of every published model are tried, and must give the same divisors.
void read_rope_divisors(const GgufFile& file, ModelConfig& config) {
  const StoredTensor* tensor = file.find(kRopeDivisors);
  if (tensor == nullptr) return;
  const int64_t count = config.head_dim / 2;
  if (tensor->shape != Shape{count} || tensor->type != StoredType::F32) {
    file.refuse(kRopeDivisors, fmt::format("must be [{}] F32", count));
  }
  std::vector<double> divisors(static_cast<size_t>(count));
  decode<double>(*tensor, 0, divisors);
  ModelConfig plain = config;
  const std::vector<double> frequencies = rope_frequencies(plain);
  config.llama3_rope = Llama3Rope{.factor = *std::max_element(divisors.begin(), divisors.end())};
  const std::vector<double> stretched = rope_frequencies(config);
  for (size_t i = 0; i < divisors.size(); ++i) {
    // The converter's wavelengths are fp32 powers: a relative 1e-6 of each, and 32 times that of a blend.
    constexpr double kTolerance = 1e-4;
    const double expected = frequencies[i] / stretched[i];
    if (!(std::fabs(divisors[i] - expected) <= kTolerance * expected)) {
      file.refuse(kRopeDivisors, fmt::format("divisor {} is {}; Llama 3's stretching by {} makes it {}", i,
                                             divisors[i], config.llama3_rope->factor, expected));
    }
  }
  if (config.llama3_rope->factor == 1) config.llama3_rope.reset();
}

/// Mistral has no architecture of its own: it is a llama with a window.
void read_window(const GgufFile& file, const std::string& prefix, ModelConfig& config) {
  const std::string key = prefix + "attention.sliding_window";
  if (file.integer(key).value_or(0) == 0) return;
  if (config.model_type != "llama") file.refuse(key, "is not supported for this architecture");
  config.model_type = "mistral";
  config.window = size_of(file, key, 1 << 28);
}

const Architecture& architecture_of(const GgufFile& file) {
  const std::string_view name = file.text("general.architecture").value_or("");
  std::string known;
  for (const Architecture& architecture : kArchitectures) {
    if (name == architecture.name) return architecture;
    known += (known.empty() ? "" : ", ") + std::string(architecture.name);
  }
  file.refuse("general.architecture", fmt::format("\"{}\" is not supported; supported are {}", name, known));
}

ModelConfig read_config(const GgufFile& file, const Architecture& architecture) {
  const std::string prefix = std::string(architecture.name) + ".";
  const StoredTensor* embedding = file.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2)
    file.refuse("token_embd.weight", "missing, or no matrix");
  if (file.integer(prefix + "expert_count").value_or(0) > 0) {
    file.refuse(prefix + "expert_count", "mixtures of experts are not supported");
  }
  ModelConfig config;
  config.model_type = architecture.model_type;
  family_of(config).shape(config);
  config.vocab_size = embedding->shape[0];
  config.hidden_size = size_of(file, prefix + "embedding_length", 1 << 17);
  config.layers = size_of(file, prefix + "block_count", 1024);
  config.heads = size_of(file, prefix + "attention.head_count", 4096);
  const auto size_or = [&](const std::string& key, int64_t most, int64_t fallback) {
    return file.has(prefix + key) ? size_of(file, prefix + key, most) : fallback;
  };
  config.kv_heads = size_or("attention.head_count_kv", 4096, config.heads);
  if (!file.has(prefix + "attention.key_length") && config.hidden_size % config.heads != 0) {
    file.refuse(prefix + "attention.head_count",
                fmt::format("{} does not divide {}", config.heads, config.hidden_size));
  }
  config.head_dim = size_or("attention.key_length", 1 << 17, config.hidden_size / config.heads);
  config.intermediate_size = size_of(file, prefix + "feed_forward_length", 1 << 20);
  config.max_positions = size_of(file, prefix + "context_length", 1 << 28);
  const std::string epsilon = prefix + "attention.layer_norm_rms_epsilon";
  const std::string base = prefix + "rope.freq_base";
  config.norm_epsilon = shortest(file.number(epsilon).value_or(1e-5));
  config.rope_theta = shortest(file.number(base).value_or(10000));
  if (!(config.norm_epsilon > 0 && config.norm_epsilon < 1)) file.refuse(epsilon, "must be in (0, 1)");
  if (!(config.rope_theta > 0) || !std::isfinite(config.rope_theta)) file.refuse(base, "must be positive");
  require_plain_rope(file, prefix, config.head_dim);
  config.tied_head = file.find("output.weight") == nullptr;
  // A family that always has a bias must bring it, whatever the file says.
  config.qkv_bias = config.qkv_bias || file.find("blk.0.attn_q.bias") != nullptr;
  config.output_bias = file.find("blk.0.attn_output.bias") != nullptr;
  config.mlp_bias = file.find("blk.0.ffn_down.bias") != nullptr;
  read_rope_divisors(file, config);
  read_window(file, prefix, config);
  const int32_t eos = token_of(file, "tokenizer.ggml.eos_token_id", config.vocab_size);
  if (eos >= 0) config.eos_tokens = {eos};
  config.bos_token = token_of(file, "tokenizer.ggml.bos_token_id", config.vocab_size);
  config.pad_token = token_of(file, "tokenizer.ggml.padding_token_id", config.vocab_size);
  require_sound(config, file.name());
  return config;
}

}  // namespace

GgufModel read_gguf_model(const GgufFile& file) {
  const Architecture& architecture = architecture_of(file);
  GgufModel model{read_config(file, architecture), {}};
  for (StoredTensor tensor : file.tensors()) {
    if (tensor.name == kRopeDivisors) continue;
    const std::string name = renamed(tensor.name);
    if (name.empty()) file.refuse(tensor.name, "is no tensor of a model that this program reads");
    if (architecture.interleaved && name.find("q_proj") != name.npos)
      tensor.interleaved_heads = model.config.heads;
    if (architecture.interleaved && name.find("k_proj") != name.npos)
      tensor.interleaved_heads = model.config.kv_heads;
    model.weights[name] = std::move(tensor);
  }
  return model;
}

}  // namespace prospect
