#include "model/layout.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "kernels/common/check.h"
#include "model/tensor_names.h"

namespace prospect {

namespace {

/// One row a way of naming, with the families that share it. A name list of one entry is a fused tensor.
constexpr std::array kNames = {
    TensorNames{.model_types = {"gpt2"},
                .prefix = "transformer.",
                .layer = "h.",
                .token_embedding = "wte",
                .position_embedding = "wpe",
                .attention_norm = "ln_1",
                .qkv = {"attn.c_attn", "", ""},
                .query_norm = "",
                .key_norm = "",
                .attention_output = "attn.c_proj",
                .mlp_norm = "ln_2",
                .mlp_in = {"mlp.c_fc", ""},
                .mlp_down = "mlp.c_proj",
                .final_norm = "ln_f",
                .buffers = {".attn.bias", ".attn.masked_bias"},
                .transposed = true},
    TensorNames{.model_types = {"llama", "mistral", "qwen2", "qwen3"},
                .prefix = "model.",
                .layer = "layers.",
                .token_embedding = "embed_tokens",
                .position_embedding = "",
                .attention_norm = "input_layernorm",
                .qkv = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
                .query_norm = "self_attn.q_norm",
                .key_norm = "self_attn.k_norm",
                .attention_output = "self_attn.o_proj",
                .mlp_norm = "post_attention_layernorm",
                .mlp_in = {"mlp.gate_proj", "mlp.up_proj"},
                .mlp_down = "mlp.down_proj",
                .final_norm = "norm",
                .buffers = {".rotary_emb.inv_freq", ""},
                .transposed = false},
};

/// Collects parameters; `ours` and `theirs` are the names without ".weight" and ".bias".
class Layout {
 public:
  Layout(const ModelConfig& config, const TensorNames& names) : config_(config), names_(names) {}

  void embedding(const std::string& ours, std::string_view theirs, int64_t rows) {
    add(ours + ".weight", {rows, config_.hidden_size}, ParameterKind::Embedding,
        {{fmt::format("{}{}.weight", names_.prefix, theirs), {rows, config_.hidden_size}}});
  }

  void head() {
    const Shape shape{config_.vocab_size, config_.hidden_size};
    add("head.weight", shape, ParameterKind::Matrix, {{kHeadTensor, shape}});
  }

  void norm(const std::string& ours, const std::string& theirs) {
    vector(ours + ".weight", ParameterKind::Norm, {theirs + ".weight"}, {config_.hidden_size});
    if (config_.norm == NormKind::LayerNorm) {
      vector(ours + ".bias", ParameterKind::Norm, {theirs + ".bias"}, {config_.hidden_size});
    }
  }

  /// A product whose rows are those of `theirs`, one below another.
  void linear(const std::string& ours, const std::vector<std::string>& theirs,
              const std::vector<int64_t>& rows, int64_t columns, bool bias) {
    std::vector<ParameterPart> parts;
    std::vector<std::string> biases;
    int64_t total = 0;
    for (size_t i = 0; i < theirs.size(); ++i) {
      parts.push_back({theirs[i] + ".weight", {rows[i], columns}, names_.transposed});
      biases.push_back(theirs[i] + ".bias");
      total += rows[i];
    }
    add(ours + ".weight", {total, columns}, ParameterKind::Matrix, std::move(parts));
    if (bias) vector(ours + ".bias", ParameterKind::Bias, biases, rows);
  }

  void layer(int64_t index) {
    const std::string ours = fmt::format("layers.{}.", index);
    const std::string theirs = fmt::format("{}{}{}.", names_.prefix, names_.layer, index);
    const HeadLayout heads = config_.head_layout();
    const int64_t width = config_.hidden_size, inner = config_.intermediate_size;
    const int64_t queries = heads.heads * heads.head_dim, keys = heads.kv_heads * heads.head_dim;
    const std::vector<std::string> projections = listed(theirs, names_.qkv);

    norm(ours + "attention_norm", theirs + names_.attention_norm);
    linear(ours + "attention.qkv", projections,
           projections.size() == 1 ? std::vector{queries + 2 * keys} : std::vector{queries, keys, keys},
           width, config_.qkv_bias);
    if (config_.qk_norm) {
      vector(ours + "attention.query_norm.weight", ParameterKind::Norm,
             {theirs + names_.query_norm + ".weight"}, {heads.head_dim});
      vector(ours + "attention.key_norm.weight", ParameterKind::Norm, {theirs + names_.key_norm + ".weight"},
             {heads.head_dim});
    }
    linear(ours + "attention.output", {theirs + names_.attention_output}, {width}, queries,
           config_.output_bias);
    norm(ours + "mlp_norm", theirs + names_.mlp_norm);
    const std::vector<std::string> in = listed(theirs, names_.mlp_in);
    linear(ours + (in.size() == 1 ? "mlp.up" : "mlp.gate_up"), in, std::vector<int64_t>(in.size(), inner),
           width, config_.mlp_bias);
    linear(ours + "mlp.down", {theirs + names_.mlp_down}, {width}, inner, config_.mlp_bias);
  }

  std::vector<ParameterSpec> take() { return std::move(specs_); }

 private:
  template <size_t N>
  static std::vector<std::string> listed(const std::string& prefix, const std::array<const char*, N>& names) {
    std::vector<std::string> result;
    for (const std::string name : names) {
      if (!name.empty()) result.push_back(prefix + name);
    }
    return result;
  }

  void vector(std::string ours, ParameterKind kind, const std::vector<std::string>& theirs,
              const std::vector<int64_t>& sizes) {
    std::vector<ParameterPart> parts;
    int64_t total = 0;
    for (size_t i = 0; i < theirs.size(); ++i) {
      parts.push_back({theirs[i], {sizes[i]}});
      total += sizes[i];
    }
    add(std::move(ours), {total}, kind, std::move(parts));
  }

  void add(std::string name, Shape shape, ParameterKind kind, std::vector<ParameterPart> parts) {
    specs_.push_back({std::move(name), std::move(shape), kind, std::move(parts)});
  }

  const ModelConfig& config_;
  const TensorNames& names_;
  std::vector<ParameterSpec> specs_;
};

}  // namespace

const TensorNames& tensor_names(std::string_view model_type) {
  for (const TensorNames& names : kNames) {
    if (std::find(names.model_types.begin(), names.model_types.end(), model_type) != names.model_types.end())
      return names;
  }
  fail(ExitCode::Bug, "layout: no tensor names for model_type {}", model_type);
}

std::vector<ParameterSpec> parameter_layout(const ModelConfig& config) {
  const TensorNames& names = tensor_names(config.model_type);
  Layout layout(config, names);
  layout.embedding("embedding.tokens", names.token_embedding, config.vocab_size);
  if (config.positions == PositionKind::Learned) {
    layout.embedding("embedding.positions", names.position_embedding, config.max_positions);
  }
  for (int64_t i = 0; i < config.layers; ++i) layout.layer(i);
  layout.norm("final_norm", std::string(names.prefix) + names.final_norm);
  if (!config.tied_head) layout.head();
  return layout.take();
}

}  // namespace prospect
