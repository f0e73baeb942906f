#include "train/corpus.h"

#include <xxhash.h>

#include <algorithm>

#include "engine/files.h"
#include "model/model.h"
#include "model/tokenizer.h"

namespace prospect {

namespace {

/// The text that ends a completion: the tokenizer's own word, else the config's first end-of-sequence token.
std::string end_text(const ModelConfig& config, const Tokenizer& tokenizer, const std::string& model) {
  if (!tokenizer.eos_text().empty()) return tokenizer.eos_text();
  if (config.eos_tokens.empty()) {
    fail(ExitCode::BadData, "{}: names no end-of-sequence token; set eos_token_id in config.json", model);
  }
  return tokenizer.token(config.eos_tokens.front());
}

}  // namespace

Corpus load_corpus(const CorpusOptions& options) {
  Corpus corpus;
  corpus.config = load_config(options.model);
  const int64_t limit = corpus.config.max_positions;
  corpus.max_length = options.max_length > 0 ? std::min(options.max_length, limit) : limit;
  const std::vector<Row> rows = read_rows(options.data, {.label_required = options.label_required});
  const MappedFile file(options.data);
  corpus.digest = XXH3_64bits(file.bytes().data(), file.bytes().size());
  const Tokenizer tokenizer = Tokenizer::load(options.model);
  corpus.examples = make_examples(rows, [&](std::string_view text) { return tokenizer.encode(text); },
                                  {.source = options.data,
                                   .eos_text = end_text(corpus.config, tokenizer, options.model),
                                   .max_length = corpus.max_length,
                                   .vocab_size = corpus.config.vocab_size});
  return corpus;
}

}  // namespace prospect
