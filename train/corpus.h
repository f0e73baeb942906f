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
  int64_t max_length = 0;
  uint64_t digest = 0;  ///< XXH3 of the file
};

/// Reads config, tokenizer and rows. Throws: Error(MissingInput), Error(BadData).
Corpus load_corpus(const CorpusOptions& options);

}  // namespace prospect
