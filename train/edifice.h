#pragma once

#include "model/model.h"

/// The calls of Edifice's `Edifice.Meta.KTO`, under its names and with its defaults, on tensors of [batch,
/// ..]: for callers who bring their own logits. Training packs its batches and uses `head` instead; the
/// objective behind both is the same.
namespace prospect::edifice {

/// The strength of the pull towards the reference where none is given.
constexpr double default_beta() {
  return 0.1;
}

struct BuildOptions {
  int64_t hidden_size = 512;
  int64_t num_layers = 6;
  int64_t num_heads = 8;
  int64_t vocab_size = 32000;
  double dropout = 0.1;        ///< of the embedding and of each branch of the residual stream
  int64_t max_seq_len = 2048;  ///< positions that are embedded
};

/// A trainable decoder for language modelling with random weights, the same for the same seed: token and
/// position embedding, pre-norm blocks of causal attention and a GELU MLP four times as wide, final norm,
/// head. Throws: Error(BadConfig) for sizes that are not positive, a hidden size that heads do not
/// split into multiples of 8 up to 256, or
/// a dropout outside [0, 1).
Model build(const BuildOptions& options = {}, uint64_t seed = 0);

/// The logits of every position, [B, T, V]. tokens [B, T] i32, each row a sequence of its own; no
/// dropout. Holds all logits: for small batches.
Variable logits(const Model& model, const Tensor& tokens);

struct LossOptions {
  double beta = default_beta();
  double desirable_weight = 1;
  double undesirable_weight = 1;
};

/// The log-probability of each sequence: sum over its positions of mask * log softmax(logits)[target]. [B],
/// of the type of the logits. logits [B, T, V] f32 or f64, targets [B, T] i32, mask [B, T] i32, 0 or 1;
/// without a mask every position counts. Targets at masked positions may be anything.
Variable compute_logprobs(const Variable& logits, const Tensor& targets, const Tensor& mask = {});

/// The mean over the batch of -lambda_D * sigma(x) for labels of 1 and -lambda_U * sigma(-x) for labels of 0,
/// x = beta * (r - mean(r)), r = policy - reference. [1] f64. The gradient flows through the mean too, so
/// that the gradients of a batch add up to 0. policy [B] f32 or f64, reference [B] of the same type, labels
/// [B] i32.
Variable kto_loss(const Variable& policy_logprobs, const Tensor& reference_logprobs, const Tensor& labels,
                  const LossOptions& options = {});

}  // namespace prospect::edifice
