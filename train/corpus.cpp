#include "train/corpus.h"

#include <algorithm>

#include "engine/digest.h"
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

Examples examples_of(const std::vector<Row>& rows, const Tokenizer& tokenizer, const Corpus& corpus) {
  return make_examples(rows, [&](std::string_view text) { return tokenizer.encode(text); },
                       {.source = corpus.data,
                        .eos_text = corpus.eos_text,
                        .max_length = corpus.max_length,
                        .vocab_size = corpus.config.vocab_size});
}

}  // namespace

Corpus load_corpus(const CorpusOptions& options) {
  Corpus corpus;
  corpus.config = load_config(options.model);
  const int64_t limit = corpus.config.max_positions;
  corpus.max_length = options.max_length > 0 ? std::min(options.max_length, limit) : limit;
  const std::vector<Row> rows = read_rows(options.data, {.label_required = options.label_required});
  const MappedFile file(options.data);
  corpus.digest = hash64(file.bytes());
  const Tokenizer tokenizer = Tokenizer::load(options.model);
  corpus.data = options.data;
  corpus.eos_text = end_text(corpus.config, tokenizer, options.model);
  corpus.examples = examples_of(rows, tokenizer, corpus);
  return corpus;
}

void require_shared_tokens(const Corpus& corpus, const std::string& reference) {
  const ModelConfig config = load_config(reference);
  if (config.vocab_size != corpus.config.vocab_size) {
    fail(ExitCode::BadConfig, "--reference: has {} tokens, the model {}; both must share a tokenizer",
         config.vocab_size, corpus.config.vocab_size);
  }
  const Examples theirs =
      examples_of(read_rows(corpus.data, {.label_required = false}), Tokenizer::load(reference), corpus);
  const bool same = std::equal(corpus.examples.list.begin(), corpus.examples.list.end(), theirs.list.begin(),
                               theirs.list.end(), [](const Example& a, const Example& b) {
                                 return a.prompt == b.prompt && a.completion == b.completion;
                               });
  if (!same) {
    fail(ExitCode::BadConfig, "--reference: its tokenizer splits {} otherwise than the model's", corpus.data);
  }
  for (const Example& example : corpus.examples.list) {
    if (example.tokens() <= config.max_positions) continue;
    fail(ExitCode::BadConfig, "--reference: has {} positions, {}:{} needs {}; lower --max-length",
         config.max_positions, corpus.data, example.line, example.tokens());
  }
}

}  // namespace prospect
