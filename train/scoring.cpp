#include "train/scoring.h"

#include <algorithm>
#include <numeric>

#include "train/batch_plan.h"

namespace prospect {

Tensor concatenate(std::span<const Tensor> tensors) {
  int64_t rows = 0;
  for (const Tensor& tensor : tensors) rows += tensor.size(0);
  Shape shape = tensors[0].shape();
  shape[0] = rows;
  Tensor joined = Tensor::empty(shape, tensors[0].dtype(), tensors[0].device());
  int64_t row = 0;
  for (const Tensor& tensor : tensors) {
    joined.rows(row, row + tensor.size(0)).copy_from(tensor);
    row += tensor.size(0);
  }
  return joined;
}

namespace {

struct ScoredBatch {
  PackedBatch packed;
  HeadOutputs out;
};

ScoredBatch score_batch(const Transformer& transformer, std::span<const Sequence> sequences,
                        std::span<const Tensor> references) {
  const NoGrad off;
  const Device& device = transformer.head_weight().value().device();
  PackedBatch packed = pack(sequences, device);
  const Variable rows = embedding(transformer.hidden(packed.tokens), packed.rows);
  HeadOutputs out = head(rows, transformer.head_weight(),
                         {.targets = packed.targets,
                          .offsets = packed.offsets,
                          .host_offsets = packed.host_offsets,
                          .reference = references.empty() ? Tensor() : concatenate(references),
                          .labels = Tensor::zeros({std::ssize(sequences)}, DType::I32, device),
                          .objective = {.kind = ObjectiveKind::Lm}});
  return {std::move(packed), std::move(out)};
}

}  // namespace

ScoredSequences score_sequences(const Transformer& transformer, std::span<const Sequence> sequences,
                                int64_t micro_batch_tokens, std::span<const Tensor> reference) {
  std::vector<int64_t> lengths;
  for (const Sequence& sequence : sequences) lengths.push_back(sequence.input_tokens());
  ScoredSequences scored{std::vector<Tensor>(sequences.size()), std::vector<double>(sequences.size())};
  const std::vector<MicroBatch> micro_batches = split_by_tokens(lengths, micro_batch_tokens).front();
  for (const MicroBatch& members : micro_batches) {
    std::vector<Sequence> views;
    std::vector<Tensor> references;
    for (const int64_t member : members) {
      views.push_back(sequences[static_cast<size_t>(member)]);
      if (!reference.empty()) references.push_back(reference[static_cast<size_t>(member)]);
    }
    const auto [packed, out] = score_batch(transformer, views, references);
    for (size_t i = 0; i < members.size(); ++i) {
      const auto member = static_cast<size_t>(members[i]);
      scored.log_probabilities[member] =
          out.log_probabilities.rows(packed.host_offsets[i], packed.host_offsets[i + 1]);
      scored.log_ratios[member] = out.log_ratios.data<double>()[i];
    }
  }
  return scored;
}

double area_under_curve(std::span<const double> scores, const std::vector<bool>& labels) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] < scores[b]; });
  double rank_sum = 0, positives = 0;
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    while (end < order.size() && scores[order[end]] == scores[order[begin]]) ++end;
    const double rank = static_cast<double>(begin + end + 1) / 2;  // ranks begin + 1 .. end share their mean
    for (size_t i = begin; i < end; ++i) {
      if (!labels[order[i]]) continue;
      rank_sum += rank;
      ++positives;
    }
    begin = end;
  }
  const double negatives = static_cast<double>(scores.size()) - positives;
  if (positives == 0 || negatives == 0) return 0.5;
  return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives);
}

}  // namespace prospect
