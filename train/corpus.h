#pragma once

#include <string>

#include "model/config.h"
#include "train/examples.h"
#include "train/rows.h"

namespace prospect {

struct CorpusOptions {
  std::string model;  ///< whose tokenizer and end-of-sequence token are used
  std::string data;
  int64_t max_length = 0;  ///< tokens of prompt and completion; 0: the model's positions
  bool label_required = true;
};

/// A data file as token ids of a model.
struct Corpus {
  ModelConfig config;
  Examples examples;
  std::string data, eos_text;  ///< the file; the text that ends a completion
  int64_t max_length = 0;
  uint64_t digest = 0;  ///< XXH3 of the file
};

/// Reads config, tokenizer and rows. Throws: Error(MissingInput), Error(BadData).
Corpus load_corpus(const CorpusOptions& options);

/// Log-ratios compare token by token, so a reference must give the rows the same ids and have a position for
/// each. Throws: Error(BadConfig), and what load_corpus throws.
void require_shared_tokens(const Corpus& corpus, const std::string& reference);

}  // namespace prospect
