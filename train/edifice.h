#pragma once

#include "engine/autograd.h"

/// The calls of Edifice's `Edifice.Meta.KTO`, under its names and with its defaults, on tensors of [batch,
/// ..]: for callers who bring their own logits. Training packs its batches and uses `head` instead; the
/// objective behind both is the same.
namespace prospect::edifice {

/// The strength of the pull towards the reference where none is given.
constexpr double default_beta() {
  return 0.1;
}

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
