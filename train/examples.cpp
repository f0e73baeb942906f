#include "train/examples.h"

#include <algorithm>
#include <exception>
#include <unordered_map>

#include "kernels/common/check.h"
#include "kernels/common/parallel.h"

namespace prospect {

namespace {

/// What became of one row. Errors are kept and thrown in the order of the rows.
struct Outcome {
  Example example;
  bool dropped = false, truncated = false, merged = false;
  std::exception_ptr error;
};

std::string place(const Row& row, const ExampleOptions& options) {
  return fmt::format("{}:{}", options.source, row.line);
}

void check_ids(std::span<const int32_t> ids, const Row& row, const ExampleOptions& options) {
  for (const int32_t id : ids) {
    if (id < 0 || (options.vocab_size > 0 && id >= options.vocab_size)) {
      fail(ExitCode::BadData, "{} row: the tokenizer gives token {}, but the model has {} of them",
           place(row, options), id, options.vocab_size);
    }
  }
}

Outcome tokenize(const Row& row, const Encode& encode, const ExampleOptions& options) {
  Outcome outcome;
  std::string text = row.prompt + row.completion;
  if (!row.completion.ends_with(options.eos_text)) text += options.eos_text;
  const std::vector<int32_t> prompt = encode(row.prompt), both = encode(text);
  const auto cut = std::mismatch(prompt.begin(), prompt.end(), both.begin(), both.end()).second;
  Example& example = outcome.example;
  example.prompt.assign(both.begin(), cut);
  example.completion.assign(cut, both.end());
  example.label = row.label;
  example.line = row.line;
  outcome.merged = example.prompt.size() < prompt.size();
  if (example.prompt.empty()) {
    fail(ExitCode::BadData, "{} prompt: has no tokens; the first token of a completion needs one before it",
         place(row, options));
  }
  if (example.completion.empty()) {
    fail(ExitCode::BadData, "{} completion: has no tokens of its own", place(row, options));
  }
  check_ids(both, row, options);
  outcome.dropped = std::ssize(example.prompt) >= options.max_length;
  outcome.truncated = !outcome.dropped && example.tokens() > options.max_length;
  if (outcome.truncated) {
    const int64_t lent = std::min(std::ssize(example.completion), options.max_length - 1);
    example.uncut.assign(example.completion.begin(), example.completion.begin() + lent);
    example.completion.resize(static_cast<size_t>(options.max_length - std::ssize(example.prompt)));
  }
  return outcome;
}

std::vector<Outcome> tokenize_all(std::span<const Row> rows, const Encode& encode,
                                  const ExampleOptions& options) {
  std::vector<Outcome> outcomes(rows.size());
  parallel_for_dynamic(std::ssize(rows), [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    // No exception may leave a parallel region.
    try {
      outcomes[at] = tokenize(rows[at], encode, options);
    } catch (...) {
      outcomes[at].error = std::current_exception();
    }
  });
  return outcomes;
}

/// Numbers texts in the order of their first appearance.
class TextNumbers {
 public:
  int64_t operator()(const std::string& text) {
    return numbers_.try_emplace(text, std::ssize(numbers_)).first->second;
  }

 private:
  std::unordered_map<std::string_view, int64_t> numbers_;
};

Lengths summarise(std::vector<int64_t> lengths) {
  if (lengths.empty()) return {};
  std::sort(lengths.begin(), lengths.end());
  double sum = 0;
  for (const int64_t length : lengths) sum += static_cast<double>(length);
  return {lengths.front(), lengths[lengths.size() / 2], lengths.back(),
          sum / static_cast<double>(lengths.size())};
}

}  // namespace

int64_t Examples::desirable() const {
  return std::count_if(list.begin(), list.end(), [](const Example& example) { return example.label; });
}

Lengths Examples::prompt_lengths() const {
  std::vector<int64_t> lengths;
  for (const Example& example : list) lengths.push_back(std::ssize(example.prompt));
  return summarise(std::move(lengths));
}

Lengths Examples::completion_lengths() const {
  std::vector<int64_t> lengths;
  for (const Example& example : list) lengths.push_back(std::ssize(example.completion));
  return summarise(std::move(lengths));
}

Examples make_examples(std::span<const Row> rows, const Encode& encode, const ExampleOptions& options) {
  CHECK(options.max_length > 0, "examples: max_length must be positive, got {}", options.max_length);
  std::vector<Outcome> outcomes = tokenize_all(rows, encode, options);
  Examples examples;
  TextNumbers prompts, completions;
  for (size_t i = 0; i < rows.size(); ++i) {
    Outcome& outcome = outcomes[i];
    if (outcome.error) std::rethrow_exception(outcome.error);
    if (outcome.dropped) {
      if (examples.dropped++ == 0) examples.first_dropped_line = rows[i].line;
      continue;
    }
    outcome.example.row = static_cast<int64_t>(i);
    outcome.example.prompt_text = prompts(rows[i].prompt);
    outcome.example.completion_text = completions(rows[i].completion);
    examples.truncated += outcome.truncated;
    examples.merged += outcome.merged;
    examples.list.push_back(std::move(outcome.example));
  }
  if (examples.list.empty()) {
    fail(ExitCode::BadData, "{}: no row is left: every prompt alone fills the {} tokens of max_length",
         options.source, options.max_length);
  }
  return examples;
}

}  // namespace prospect
