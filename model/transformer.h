#pragma once

#include <functional>

#include "model/model.h"
#include "model/packed_tokens.h"

namespace prospect {

struct ForwardOptions {
  bool dropout = false;           ///< with the probabilities of the config
  DropoutKey dropout_key;         ///< site is set by the transformer
  bool recompute_blocks = false;  ///< keep only block inputs, run each block again in backward
};

/// The decoder: token (and position) embedding, pre-norm blocks of attention and MLP, final norm. What kind
/// of norm, positions and MLP is the config's word; there is one forward for all families.
class Transformer {
 public:
  /// Keeps a reference: the model must outlive the transformer.
  explicit Transformer(const Model& model);

  const Model& model() const { return model_; }
  const ModelConfig& config() const { return model_.config; }

  /// The normalised hidden state of every token, [T, C].
  Variable hidden(const PackedTokens& tokens, const ForwardOptions& options = {}) const;

  /// As hidden, with another attention: attend(layer, qkv) gets rotated queries and keys, [T, columns], and
  /// returns [T, heads * head_dim]. For generation, whose keys live in a cache.
  using Attend = std::function<Variable(int64_t layer, const Variable& qkv)>;
  Variable hidden(const PackedTokens& tokens, const ForwardOptions& options, const Attend& attend) const;

  /// [V, C]: the token embedding where the head is tied.
  const Variable& head_weight() const;

 private:
  Variable embed(const PackedTokens& tokens, const ForwardOptions& options) const;
  Variable block(int64_t layer, const Variable& x, const PackedTokens& tokens, const ForwardOptions& options,
                 const Attend& attend) const;
  Variable norm(const std::string& name, const Variable& x) const;
  Variable project(const std::string& name, const Variable& x) const;
  Variable residual(const Variable& x, Variable branch, int64_t site, const PackedTokens& tokens,
                    const ForwardOptions& options) const;

  const Model& model_;
  Tensor inverse_frequencies_;  ///< [head_dim / 2] f64, with rotary positions
};

}  // namespace prospect
