#include "train/batch_pass.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace prospect {

/// What phase (a) found out: all that phase (b) needs besides the policy.
struct BatchPass::Prepared {
  std::vector<const Example*> rows;  ///< this rank's rows
  std::vector<Sequence> sequences;   ///< the same as token ids
  std::vector<Tensor> reference;     ///< the reference's log-probabilities; empty for lm
  std::vector<double> slopes;        ///< of coupled objectives; else empty
  std::vector<size_t> group;         ///< of each row
  std::vector<double> share;         ///< of each row in the loss
  std::vector<GroupRecord> groups;
  std::vector<int64_t> unsound;  ///< examples behind numbers that are not finite
};

namespace {

/// A row's part of a mean over groups of means over rows.
std::vector<double> equal_shares(std::span<const size_t> group, size_t groups) {
  std::vector<double> sizes(groups), shares;
  for (const size_t g : group) sizes[g] += 1;
  for (const size_t g : group) shares.push_back(1 / (static_cast<double>(groups) * sizes[g]));
  return shares;
}

void count_pair(Statistics& sums, double log_ratio) {
  sums[Statistics::kKlSum] += log_ratio;
  sums[Statistics::kKlSquares] += log_ratio * log_ratio;
  sums[Statistics::kKlCount] += 1;
}

/// What the forward pass found out about a row.
struct RowNumbers {
  double log_ratio, value, log_probability, logit_sum, entropy_sum;
  bool sound() const {
    return std::isfinite(log_ratio + log_probability + logit_sum + entropy_sum) && std::isfinite(value);
  }
};

void count_row(Statistics& sums, const Example& example, const RowNumbers& row, double z0, double share,
               double beta) {
  using S = Statistics;
  const double x = beta * (row.log_ratio - z0);
  sums[S::kLossSum] += share * row.value;
  sums[S::kEntropySum] += row.entropy_sum;
  const auto tokens = static_cast<double>(example.completion.size());
  sums[example.label ? S::kChosenRows : S::kRejectedRows] += 1;
  sums[example.label ? S::kChosenRatio : S::kRejectedRatio] += row.log_ratio;
  sums[example.label ? S::kChosenLogp : S::kRejectedLogp] += row.log_probability;
  sums[example.label ? S::kChosenLogit : S::kRejectedLogit] += row.logit_sum;
  sums[example.label ? S::kChosenTokens : S::kRejectedTokens] += tokens;
  sums[S::kTokens] += tokens + static_cast<double>(example.prompt.size());
  sums[S::kCompletionTokens] += tokens;
  sums[S::kCorrect] += (row.log_ratio > z0) == example.label && row.log_ratio != z0 ? 1 : 0;
  sums[S::kSaturated] += std::fabs(x) > S::kSaturation ? 1 : 0;
  sums[S::kLost] += example.label && x < -S::kLoss ? 1 : 0;
  sums[S::kUnsound] += row.sound() ? 0 : 1;
}

}  // namespace

std::vector<Sequence> matched_sequences(std::span<const Example> examples, const StepPlan& plan) {
  std::vector<Sequence> sequences;
  for (const int64_t index : plan.examples) {
    sequences.push_back(matched_sequence(examples[static_cast<size_t>(index)], index));
  }
  return sequences;
}

std::vector<Sequence> mismatched_sequences(std::span<const Example> examples, const StepPlan& plan,
                                           int64_t max_length) {
  std::vector<Sequence> pairs;
  for (size_t i = 0; i < plan.examples.size(); ++i) {
    if (plan.partners[i] < 0) continue;
    const Example& row = examples[static_cast<size_t>(plan.examples[i])];
    const Example& partner = examples[static_cast<size_t>(plan.partners[i])];
    pairs.push_back(mismatched_sequence(row, partner, plan.examples[i], max_length));
  }
  return pairs;
}

BatchPass::BatchPass(const Transformer& policy, ReferenceLogps reference, Communicator& communicator,
                     const Options& options)
    : policy_(policy), reference_(std::move(reference)), communicator_(communicator), options_(options) {
  CHECK((reference_ == nullptr) == (options.objective.kind == ObjectiveKind::Lm),
        "batch pass: the objective lm has no reference, every other has one");
}

StepRecord BatchPass::train(std::span<const Example> examples, const StepPlan& plan) const {
  Prepared prepared = prepare(examples, plan);
  const ForwardOptions forward{.dropout = options_.dropout,
                               .dropout_key = {.seed = options_.seed, .step = plan.step},
                               .recompute_blocks = options_.gradient_checkpointing};
  policy_.model().parameters.zero_gradients();
  run_micro_batches(prepared, forward);
  policy_.model().parameters.complete_gradients();
  return report(prepared);
}

BatchPass::Evaluation BatchPass::evaluate(std::span<const Example> examples, const StepPlan& plan) const {
  const NoGrad off;
  Prepared prepared = prepare(examples, plan);
  std::vector<double> log_ratios = run_micro_batches(prepared, {});
  return {report(prepared), std::move(log_ratios)};
}

StepRecord BatchPass::report(Prepared& prepared) const {
  for (GroupRecord& group : prepared.groups) group.statistics.reduce(communicator_);
  std::sort(prepared.unsound.begin(), prepared.unsound.end());
  const auto repeated = std::unique(prepared.unsound.begin(), prepared.unsound.end());
  prepared.unsound.erase(repeated, prepared.unsound.end());
  return {std::move(prepared.groups), 0, std::move(prepared.unsound)};
}

BatchPass::Prepared BatchPass::prepare(std::span<const Example> examples, const StepPlan& plan) const {
  Prepared prepared;
  prepared.sequences = matched_sequences(examples, plan);
  int64_t completion_tokens = 0;
  for (const int64_t index : plan.examples) {
    prepared.rows.push_back(&examples[static_cast<size_t>(index)]);
    completion_tokens += std::ssize(prepared.rows.back()->completion);
  }
  prepared.groups.resize(plan.groups.size() - 1);
  for (size_t g = 0; g + 1 < plan.groups.size(); ++g) {
    prepared.group.resize(static_cast<size_t>(plan.groups[g + 1]), g);
  }
  if (options_.objective.kind == ObjectiveKind::Lm) {
    prepared.share.assign(prepared.rows.size(), 1.0 / static_cast<double>(completion_tokens));
    return prepared;
  }
  prepared.share = equal_shares(prepared.group, prepared.groups.size());
  prepared.reference = reference_(prepared.sequences);
  if (options_.objective.kind == ObjectiveKind::Kto) estimate_z0(prepared, examples, plan);
  if (options_.objective.kind == ObjectiveKind::KtoEdifice) couple(prepared);
  return prepared;
}

/// z0 = max(0, mean log-ratio of (prompt of i, completion of its partner)): clamped once, over the whole
/// group. A mean that is not finite leaves no row of the group sound; the rows of its pairs are to blame.
void BatchPass::estimate_z0(Prepared& prepared, std::span<const Example> examples,
                            const StepPlan& plan) const {
  const std::vector<Sequence> pairs = mismatched_sequences(examples, plan, options_.max_length);
  std::vector<size_t> row;
  for (size_t i = 0; i < plan.partners.size(); ++i) {
    if (plan.partners[i] >= 0) row.push_back(i);
  }
  const auto ratios =
      score_sequences(policy_, pairs, options_.micro_batch_tokens, reference_(pairs)).log_ratios;
  std::vector<Statistics> sums(prepared.groups.size());
  for (size_t i = 0; i < ratios.size(); ++i) {
    count_pair(sums[prepared.group[row[i]]], ratios[i]);
    if (std::isfinite(ratios[i])) continue;
    prepared.unsound.push_back(plan.examples[row[i]]);
    prepared.unsound.push_back(plan.partners[row[i]]);
  }
  for (size_t g = 0; g < sums.size(); ++g) {
    prepared.groups[g].statistics.add(sums[g]);
    sums[g].reduce(communicator_);
    const double mean = sums[g].kl_raw();
    prepared.groups[g].z0 = std::isfinite(mean) ? std::max(0.0, mean) : std::nan("");
  }
}

/// kto-edifice: z0 is the batch's own mean log-ratio and carries gradient, so all slopes must be known first.
void BatchPass::couple(Prepared& prepared) const {
  CHECK(prepared.groups.size() == 1, "batch pass: kto-edifice couples the whole batch, got {} loss groups",
        prepared.groups.size());
  GroupRecord& batch = prepared.groups.front();
  const auto ratios =
      score_sequences(policy_, prepared.sequences, options_.micro_batch_tokens, prepared.reference)
          .log_ratios;
  Statistics sums;
  for (const double ratio : ratios) count_pair(sums, ratio);
  batch.statistics.add(sums);
  sums.reduce(communicator_);
  batch.z0 = sums.kl_raw();
  for (size_t i = 0; i < ratios.size(); ++i) {
    prepared.slopes.push_back(
        objective_term(options_.objective, ratios[i], prepared.rows[i]->label, batch.z0).slope);
  }
  couple_slopes(prepared.slopes.data(), std::ssize(prepared.slopes));
}

std::vector<double> BatchPass::run_micro_batches(Prepared& prepared, const ForwardOptions& forward) const {
  const Device& device = policy_.head_weight().value().device();
  std::vector<int64_t> lengths;
  for (const Sequence& sequence : prepared.sequences) lengths.push_back(sequence.input_tokens());
  std::vector<double> log_ratios(prepared.rows.size());
  const std::vector<MicroBatch> micro_batches = split_by_tokens(lengths, options_.micro_batch_tokens).front();
  for (const MicroBatch& members : micro_batches) {
    std::vector<Sequence> views;
    std::vector<int32_t> labels;
    std::vector<Tensor> reference;
    std::vector<double> slopes, z0, shares;
    for (const int64_t member : members) {
      const auto i = static_cast<size_t>(member);
      views.push_back(prepared.sequences[i]);
      labels.push_back(prepared.rows[i]->label ? 1 : 0);
      z0.push_back(prepared.groups[prepared.group[i]].z0);
      shares.push_back(prepared.share[i]);
      if (!prepared.reference.empty()) reference.push_back(prepared.reference[i]);
      if (!prepared.slopes.empty()) slopes.push_back(prepared.slopes[i]);
    }
    const PackedBatch packed = pack(views, device);
    const Variable rows = embedding(policy_.hidden(packed.tokens, forward), packed.rows);
    const HeadOutputs out = head(rows, policy_.head_weight(),
                                 {.targets = packed.targets,
                                  .offsets = packed.offsets,
                                  .host_offsets = packed.host_offsets,
                                  .reference = reference.empty() ? Tensor() : concatenate(reference),
                                  .labels = Tensor::from(labels, device),
                                  .z0 = Tensor::from(z0, device),
                                  .shares = Tensor::from(shares, device),
                                  .slopes = slopes.empty() ? Tensor() : Tensor::from(slopes, device),
                                  .objective = options_.objective});
    if (out.loss.needs_grad()) backward(out.loss);
    for (size_t s = 0; s < members.size(); ++s) {
      const auto i = static_cast<size_t>(members[s]);
      const auto logps =
          to_doubles(out.log_probabilities.rows(packed.host_offsets[s], packed.host_offsets[s + 1]));
      const RowNumbers row{.log_ratio = out.log_ratios.data<double>()[s],
                           .value = out.values.data<double>()[s],
                           .log_probability = std::accumulate(logps.begin(), logps.end(), 0.0),
                           .logit_sum = out.logit_sums.data<double>()[s],
                           .entropy_sum = out.entropy_sums.data<double>()[s]};
      log_ratios[i] = row.log_ratio;
      if (!row.sound() && (std::isfinite(z0[s]) || !std::isfinite(row.log_ratio))) {
        prepared.unsound.push_back(prepared.sequences[i].example);
      }
      count_row(prepared.groups[prepared.group[i]].statistics, *prepared.rows[i], row, z0[s], shares[s],
                options_.objective.beta);
    }
  }
  return log_ratios;
}

}  // namespace prospect
