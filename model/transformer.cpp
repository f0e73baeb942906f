#include "model/transformer.h"

#include "model/rope.h"

#include "engine/recompute.h"

namespace prospect {

namespace {

std::string layer_name(int64_t layer, const char* part) {
  return fmt::format("layers.{}.{}", layer, part);
}

}  // namespace

Transformer::Transformer(const Model& model) : model_(model) {
  if (config().positions == PositionKind::Rotary) {
    inverse_frequencies_ = Tensor::from(rope_frequencies(config()), model.parameters.values().device());
  }
}

const Variable& Transformer::head_weight() const {
  return model_.parameters[config().tied_head ? "embedding.tokens.weight" : "head.weight"];
}

Variable Transformer::hidden(const PackedTokens& tokens, const ForwardOptions& options) const {
  return hidden(tokens, options, [&](int64_t layer, const Variable& qkv) {
    return attention(qkv, tokens.bounds, config().attention_options(layer));
  });
}

Variable Transformer::hidden(const PackedTokens& tokens, const ForwardOptions& options,
                             const Attend& attend) const {
  Variable x = embed(tokens, options);
  for (int64_t layer = 0; layer < config().layers; ++layer) {
    if (options.recompute_blocks && grad_enabled()) {
      // By value: the closure runs again in backward, after this call has returned.
      const auto run = [this, layer, tokens, options](std::span<const Variable> inputs) {
        return block(layer, inputs[0], tokens, options, [&](int64_t, const Variable& qkv) {
          return attention(qkv, tokens.bounds, config().attention_options(layer));
        });
      };
      x = recompute(run, {x});
    } else {
      x = block(layer, x, tokens, options, attend);
    }
  }
  return norm("final_norm", x);
}

Variable Transformer::embed(const PackedTokens& tokens, const ForwardOptions& options) const {
  Variable x = embedding(model_.parameters["embedding.tokens.weight"], tokens.ids);
  if (config().positions == PositionKind::Learned) {
    x = residual_add(x, embedding(model_.parameters["embedding.positions.weight"], tokens.positions));
  }
  if (!options.dropout) return x;
  DropoutKey key = options.dropout_key;
  key.site = 0;
  return dropout(x, config().embedding_dropout, tokens.examples, tokens.positions, key);
}

Variable Transformer::block(int64_t layer, const Variable& x, const PackedTokens& tokens,
                            const ForwardOptions& options, const Attend& attend) const {
  Variable qkv = project(layer_name(layer, "attention.qkv"), norm(layer_name(layer, "attention_norm"), x));
  if (config().qk_norm) {
    qkv = qk_norm(qkv, model_.parameters[layer_name(layer, "attention.query_norm.weight")],
                  model_.parameters[layer_name(layer, "attention.key_norm.weight")], config().head_layout(),
                  config().norm_epsilon);
  }
  if (config().positions == PositionKind::Rotary) {
    qkv = rotary(qkv, tokens.positions, inverse_frequencies_, config().head_layout());
  }
  const Variable attended = project(layer_name(layer, "attention.output"), attend(layer, qkv));
  const Variable middle = residual(x, attended, 2 * layer + 1, tokens, options);

  const Variable normalised = norm(layer_name(layer, "mlp_norm"), middle);
  const Variable inner = config().mlp == MlpKind::SwiGlu
                             ? swiglu(project(layer_name(layer, "mlp.gate_up"), normalised))
                             : gelu(project(layer_name(layer, "mlp.up"), normalised), config().gelu);
  return residual(middle, project(layer_name(layer, "mlp.down"), inner), 2 * layer + 2, tokens, options);
}

Variable Transformer::norm(const std::string& name, const Variable& x) const {
  const Variable& weight = model_.parameters[name + ".weight"];
  if (config().norm == NormKind::RmsNorm) return rmsnorm(x, weight, config().norm_epsilon);
  return layernorm(x, weight, model_.parameters[name + ".bias"], config().norm_epsilon);
}

Variable Transformer::project(const std::string& name, const Variable& x) const {
  const std::string bias = name + ".bias";
  return matmul(x, model_.parameters[name + ".weight"],
                model_.parameters.contains(bias) ? model_.parameters[bias] : Variable());
}

Variable Transformer::residual(const Variable& x, Variable branch, int64_t site, const PackedTokens& tokens,
                               const ForwardOptions& options) const {
  if (options.dropout) {
    DropoutKey key = options.dropout_key;
    key.site = site;
    branch = dropout(branch, config().residual_dropout, tokens.examples, tokens.positions, key);
  }
  return residual_add(x, branch);
}

}  // namespace prospect
