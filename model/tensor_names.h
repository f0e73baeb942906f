#pragma once

#include <array>
#include <string_view>

namespace prospect {

/// What families call their tensors in a Hugging Face folder, without ".weight" and ".bias".
struct TensorNames {
  std::array<std::string_view, 4> model_types;
  const char* prefix;  ///< of all tensors but the head; a file may leave it out
  const char* layer;
  const char* token_embedding;
  const char* position_embedding;
  const char* attention_norm;
  std::array<const char*, 3> qkv;  ///< q, k, v; or one fused tensor and two empty names
  const char* query_norm;          ///< of one head; for models that have it
  const char* key_norm;
  const char* attention_output;
  const char* mlp_norm;
  std::array<const char*, 2> mlp_in;  ///< gate, up; or one
  const char* mlp_down;
  const char* final_norm;
  std::array<std::string_view, 2> buffers;  ///< endings of tensors that are no weights
  bool transposed;                          ///< matrices are stored [in, out]
};

inline constexpr const char* kHeadTensor = "lm_head.weight";

/// Throws: Error(Bug) for a family that this program does not have.
const TensorNames& tensor_names(std::string_view model_type);

}  // namespace prospect
