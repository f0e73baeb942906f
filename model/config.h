#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/ops.h"

namespace prospect {

enum class NormKind { LayerNorm, RmsNorm };
enum class PositionKind { Learned, Rotary };
enum class MlpKind { Gelu, SwiGlu };

/// Llama 3's stretching of rotary positions: frequencies whose wavelength is longer than original_positions /
/// low_frequency_factor are divided by factor, those shorter than original_positions / high_frequency_factor
/// stay, and those between are blended.
struct Llama3Rope {
  double factor = 8;
  double low_frequency_factor = 1;
  double high_frequency_factor = 4;
  int64_t original_positions = 8192;
  bool operator==(const Llama3Rope&) const = default;
};

/// What the one decoder transformer needs to know to be a given model: a family is data, never a copy of the
/// code. The defaults are those of the seed: a GPT-2 shaped model of 32000 tokens.
struct ModelConfig {
  std::string model_type = "gpt2";
  int64_t vocab_size = 32000;
  int64_t hidden_size = 512;
  int64_t layers = 6;
  int64_t heads = 8;
  int64_t kv_heads = 8;
  int64_t head_dim = 64;
  int64_t intermediate_size = 2048;
  int64_t max_positions = 2048;

  NormKind norm = NormKind::LayerNorm;
  double norm_epsilon = 1e-5;
  PositionKind positions = PositionKind::Learned;
  double rope_theta = 10000;
  std::optional<Llama3Rope> llama3_rope{};
  bool qk_norm = false;            ///< queries and keys are normalised head by head before they rotate
  int64_t window = 0;              ///< a token sees the last `window` ones, itself included; 0: all before it
  int64_t first_window_layer = 0;  ///< layers below it see everything
  MlpKind mlp = MlpKind::Gelu;
  GeluKind gelu = GeluKind::Tanh;
  bool qkv_bias = true;     ///< on the query, key and value projections
  bool output_bias = true;  ///< on the attention's output projection
  bool mlp_bias = true;
  bool tied_head = true;  ///< the head is the token embedding
  double embedding_dropout = 0.1;
  double residual_dropout = 0.1;

  std::vector<int32_t> eos_tokens{};  ///< the first one ends a completion
  int32_t bos_token = -1;             ///< -1: none
  int32_t pad_token = -1;

  /// The dtype that the config names for weights, "F32", "F16", "BF16" or "F64": that of a model made from
  /// it.
  std::string stored_dtype = "F32";

  /// The config.json this came from, verbatim, so that keys we do not know survive; empty for a model of our
  /// own.
  std::string source_json{};

  HeadLayout head_layout() const { return {heads, kv_heads, head_dim}; }
  AttentionOptions attention_options(int64_t layer) const {
    return {.layout = head_layout(), .window = layer < first_window_layer ? 0 : window};
  }
  bool operator==(const ModelConfig&) const = default;
};

}  // namespace prospect
