#pragma once

#include <string>
#include <vector>

#include "model/config.h"

namespace prospect {

/// One tensor of the file that a parameter is made of.
struct ParameterPart {
  std::string name;         ///< its name in a Hugging Face folder
  Shape shape;              ///< as this program keeps it, [out, in] for a product
  bool transposed = false;  ///< stored [in, out] in the file (GPT-2's Conv1D)
};

enum class ParameterKind { Matrix, Bias, Norm, Embedding };

/// One parameter: its parts one below another, so that a single product serves q, k and v, or gate and up.
struct ParameterSpec {
  std::string name;  ///< ours: "layers.3.attention.qkv.weight"
  Shape shape;
  ParameterKind kind;
  std::vector<ParameterPart> parts;
};

/// Every parameter of the model, in the order of the arena: embeddings, layers, final norm, head.
///   embedding.tokens.weight [V, C]; embedding.positions.weight [P, C] with learned positions;
///   layers.N.{attention_norm,mlp_norm}.{weight,bias} [C]; layers.N.attention.qkv.{weight,bias} [(H + 2 K)
///   hd, C]; layers.N.attention.{query_norm,key_norm}.weight [hd] with qk_norm;
///   layers.N.attention.output.{weight,bias} [C, H hd]; layers.N.mlp.up.{weight,bias} [F, C] with
///   GELU, or layers.N.mlp.gate_up.weight [2 F, C] with SwiGLU; layers.N.mlp.down.{weight,bias} [C, F];
///   final_norm.{weight,bias} [C]; head.weight [V, C] unless tied. Biases only where the config has them.
std::vector<ParameterSpec> parameter_layout(const ModelConfig& config);

}  // namespace prospect
