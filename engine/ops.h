#pragma once

#include "engine/autograd.h"
#include "kernels/gelu/gelu.h"
#include "kernels/kto/objective.h"

/// The catalogue: every differentiable operation of the engine, one declaration each. T counts packed tokens.
/// An op checks shapes, dtypes and devices (throws Error(Bug) naming itself), allocates its output,
/// dispatches on dtype and device, and records its backward. The formulas stand in kernels/<op>/<op>.h.
namespace prospect {

/// y = x weight^T + bias. x [T, in], weight [out, in], bias [out] or undefined; y [T, out].
Variable matmul(const Variable& x, const Variable& weight, const Variable& bias = {});

/// Row ids[t] of table for each t: also how rows of an activation are picked. table [V, C], ids [T] i32; y
/// [T, C].
Variable embedding(const Variable& table, const Tensor& ids);

/// x [T, C], weight and bias [C].
Variable layernorm(const Variable& x, const Variable& weight, const Variable& bias, double epsilon);

/// x [T, C], weight [C].
Variable rmsnorm(const Variable& x, const Variable& weight, double epsilon);

/// How one packed row of queries, keys and values is laid out: [heads, kv_heads, kv_heads] x head_dim.
struct HeadLayout {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  int64_t columns() const { return (heads + 2 * kv_heads) * head_dim; }
};

/// rmsnorm of each query head and each key head, [head_dim], of each token; values pass through. qkv [T,
/// layout.columns()], weights [head_dim].
Variable qk_norm(const Variable& qkv, const Variable& query_weight, const Variable& key_weight,
                 const HeadLayout& layout, double epsilon);

/// Rotates the queries and keys of each token by its position; values pass through. qkv [T,
/// layout.columns()], positions [T] i32, inverse_frequencies [head_dim / 2] f64; pairs are (i, i + head_dim /
/// 2).
Variable rotary(const Variable& qkv, const Tensor& positions, const Tensor& inverse_frequencies,
                const HeadLayout& layout);

struct AttentionOptions {
  HeadLayout layout;
  double scale = 0;    ///< factor on the scores; 0 means 1 / sqrt(head_dim)
  int64_t window = 0;  ///< a query sees its last `window` keys, itself included; 0 means all before it
};

/// Causal attention inside packed sequences. qkv [T, layout.columns()]; bounds [S, 4] i32: query begin, query
/// end, key begin, key end, as rows of qkv. A sequence's last query sees its last key. y [T, heads *
/// head_dim]. Requires: key ranges do not overlap when a gradient is needed.
Variable attention(const Variable& qkv, const Tensor& bounds, const AttentionOptions& options);

/// As attention, with keys and values from a cache, [rows, kv_heads * head_dim] each, that bounds name rows
/// of. Not recorded.
Tensor attention_cached(const Tensor& qkv, const Tensor& keys, const Tensor& values, const Tensor& bounds,
                        const AttentionOptions& options);

/// x of any shape.
Variable gelu(const Variable& x, GeluKind kind);

/// silu(gate) * up. gate_up [T, 2 F], gate in the first F columns; y [T, F].
Variable swiglu(const Variable& gate_up);

/// x + branch, same shape.
Variable residual_add(const Variable& x, const Variable& branch);

/// What the random numbers of a dropout depend on: never on who asks.
struct DropoutKey {
  uint64_t seed = 0;
  int64_t step = 0;
  int64_t site = 0;  ///< which dropout of the model
};
/// Zeroes each element with the given probability and scales the rest by 1 / (1 - probability). The mask of
/// element c of token t depends on key, examples[t], positions[t] and c alone. x [T, C]; both [T] i32.
Variable dropout(const Variable& x, double probability, const Tensor& examples, const Tensor& positions,
                 const DropoutKey& key);

/// What the head needs besides the hidden rows: R completion rows in S sequences, whole and in order. Nothing
/// here is read by the host while a step runs.
struct HeadInputs {
  Tensor targets;  ///< [R] i32: the token that each row must predict
  Tensor offsets;  ///< [S + 1] i32: the rows of sequence s are [offsets[s], offsets[s + 1])
  std::vector<int32_t> host_offsets;  ///< the same on the host, where chunks are cut
  Tensor reference{};  ///< [R] f32 (f64 for f64): the reference's log-probabilities; undefined: zeros
  Tensor labels{};     ///< [S] i32: 1 desirable, 0 undesirable; undefined: all desirable
  Tensor z0{};         ///< [S] f64; undefined: zeros
  Tensor shares{};     ///< [S] f64: the factor of each sequence in the loss; undefined: ones
  /// [S] f64: d(value)/d(log-ratio) where it is known already (an objective that couples the whole batch);
  /// undefined: the objective's own.
  Tensor slopes{};
  Objective objective{};
  int64_t chunk_bytes = 64 << 20;  ///< logits held at a time: fewer, larger products against memory
};

struct HeadOutputs {
  Variable loss;             ///< [1] f64: sum of shares * values
  Tensor log_probabilities;  ///< [R] f32 (f64 for f64)
  Tensor log_ratios;         ///< [S] f64: sum over tokens of policy minus reference
  Tensor values;             ///< [S] f64: the objective's value
  Tensor slopes;             ///< [S] f64: d(value)/d(log-ratio)
  Tensor entropy_sums;       ///< [S] f64: sum over rows of the entropy of the prediction
  Tensor logit_sums;         ///< [S] f64: sum over rows of the mean logit
};

/// Head and objective in one pass over chunks of whole sequences: logits = hidden weight^T, log-probability
/// of the targets, objective, gradients; never holds [R, V]. hidden [R, C], weight [V, C]. The loss must be
/// the root of backward(), with seed 1: both gradients are known before it, and the weight's is in its buffer
/// when head returns. Without recording only outputs.
HeadOutputs head(const Variable& hidden, const Variable& weight, const HeadInputs& inputs);

}  // namespace prospect
