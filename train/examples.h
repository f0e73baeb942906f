#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/rows.h"

namespace prospect {

/// A row as token ids.
struct Example {
  std::vector<int32_t> prompt;      ///< at least one: it predicts the completion's first token
  std::vector<int32_t> completion;  ///< at least one, the end-of-text token last unless cut off
  /// Of a completion that was cut to fit its prompt: what a shorter prompt may take of it; else empty.
  std::vector<int32_t> uncut;
  bool label = true;
  int64_t row = 0;   ///< index of its Row
  int64_t line = 0;  ///< of its file
  /// Equal numbers mean equal texts, of prompts and of completions: how KL partners are told apart.
  int64_t prompt_text = 0, completion_text = 0;

  /// The completion as another prompt takes it, before it is cut to fit that one.
  std::span<const int32_t> lent_completion() const { return uncut.empty() ? completion : uncut; }
  int64_t tokens() const { return std::ssize(prompt) + std::ssize(completion); }
};

/// Text to ids, special tokens included; called from several threads.
using Encode = std::function<std::vector<int32_t>(std::string_view)>;

struct ExampleOptions {
  std::string source;         ///< the rows' file, for errors
  std::string eos_text;       ///< appended to a completion that does not end with it
  int64_t max_length = 1024;  ///< of prompt + completion, tokens
  int64_t vocab_size = 0;     ///< the model's: ids beyond it are an error; 0: not checked
};

struct Lengths {
  int64_t shortest = 0, median = 0, longest = 0;
  double mean = 0;
};

struct Examples {
  std::vector<Example> list;       ///< in the order of the rows
  int64_t dropped = 0;             ///< rows whose prompt alone fills max_length
  int64_t first_dropped_line = 0;  ///< of the file; 0 for none
  int64_t truncated = 0;           ///< examples that lost the end of their completion
  int64_t merged = 0;              ///< examples whose prompt lost ids that merge with the completion's first

  int64_t desirable() const;
  int64_t undesirable() const { return std::ssize(list) - desirable(); }
  Lengths prompt_lengths() const;
  Lengths completion_lengths() const;
};

/// Tokenizes as TRL does: prompt alone and prompt + completion; the completion begins where the ids diverge.
/// The start of prompt + completion is kept to max_length.
/// Throws: Error(BadData) `file:line field: reason` for a prompt without tokens, a completion without tokens,
/// an id outside the vocabulary, or when no row is left.
Examples make_examples(std::span<const Row> rows, const Encode& encode, const ExampleOptions& options);

}  // namespace prospect
