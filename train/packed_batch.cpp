#include "train/packed_batch.h"

#include <algorithm>
#include <limits>

namespace prospect {

namespace {

/// The columns of a packed batch while it grows.
struct Columns {
  std::vector<int32_t> ids, positions, examples, bounds, rows, targets, offsets{0};

  void add(const Sequence& sequence) {
    const int64_t length = sequence.input_tokens(), prompt = std::ssize(sequence.prompt);
    const auto begin = static_cast<int32_t>(ids.size()), end = begin + static_cast<int32_t>(length);
    bounds.insert(bounds.end(), {begin, end, begin, end});
    ids.insert(ids.end(), sequence.prompt.begin(), sequence.prompt.end());
    ids.insert(ids.end(), sequence.completion.begin(), sequence.completion.end() - 1);
    for (int32_t position = 0; position < length; ++position) positions.push_back(position);
    examples.insert(examples.end(), static_cast<size_t>(length), static_cast<int32_t>(sequence.example));
    targets.insert(targets.end(), sequence.completion.begin(), sequence.completion.end());
    // The row of a token's predecessor predicts it.
    for (int64_t row = begin + prompt - 1; row < end; ++row) rows.push_back(static_cast<int32_t>(row));
    offsets.push_back(static_cast<int32_t>(rows.size()));
  }
};

}  // namespace

Sequence matched_sequence(const Example& example, int64_t index) {
  return {example.prompt, example.completion, index};
}

Sequence mismatched_sequence(const Example& prompt, const Example& completion, int64_t index,
                             int64_t max_length) {
  const std::span<const int32_t> whole = completion.lent_completion();
  const auto room = static_cast<size_t>(std::max<int64_t>(0, max_length - std::ssize(prompt.prompt)));
  return {prompt.prompt, whole.first(std::min(whole.size(), room)), index};
}

PackedBatch pack(std::span<const Sequence> sequences, const Device& device) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  int64_t total = 0;
  for (const Sequence& sequence : sequences) {
    CHECK(!sequence.prompt.empty() && !sequence.completion.empty(),
          "pack: example {} has {} prompt and {} completion tokens, both must have one", sequence.example,
          sequence.prompt.size(), sequence.completion.size());
    total += sequence.input_tokens();
    CHECK(sequence.example <= kMost && total <= kMost, "pack: more than {} tokens or examples", kMost);
  }
  Columns columns;
  for (const Sequence& sequence : sequences) columns.add(sequence);
  return {.tokens = {.ids = Tensor::from(columns.ids, device),
                     .positions = Tensor::from(columns.positions, device),
                     .bounds = Tensor::from(columns.bounds, {std::ssize(sequences), 4}, device),
                     .examples = Tensor::from(columns.examples, device)},
          .rows = Tensor::from(columns.rows, device),
          .targets = Tensor::from(columns.targets, device),
          .offsets = Tensor::from(columns.offsets, device),
          .host_offsets = columns.offsets};
}

}  // namespace prospect
