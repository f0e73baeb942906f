#include <fmt/core.h>

#include <numeric>

#include "engine/files.h"
#include "train/commands.h"
#include "train/corpus.h"
#include "train/packed_batch.h"
#include "train/scoring.h"

namespace prospect {

namespace {

std::string number_list(const Tensor& values) {
  std::string text = "[";
  for (const double value : to_doubles(values))
    text += fmt::format("{}{:.9g}", text.size() > 1 ? ", " : "", value);
  return text + "]";
}

double sum_of(const Tensor& values) {
  const auto list = to_doubles(values);
  return std::accumulate(list.begin(), list.end(), 0.0);
}

/// The reference is loaded after the policy is gone: one model in memory at a time.
std::vector<Tensor> score_with(const std::string& path, const ScoreOptions& options,
                               std::span<const Sequence> sequences) {
  const Model model = load_model(path, {.dtype = parse_dtype(options.dtype)}, Device::cpu());
  return score_sequences(Transformer(model), sequences, options.micro_batch_tokens).log_probabilities;
}

}  // namespace

void run_score(const ScoreOptions& options) {
  use_threads(options.threads);
  const Corpus corpus = load_corpus({.model = options.model,
                                     .data = options.data,
                                     .max_length = options.max_length,
                                     .label_required = false});
  const std::vector<Example>& examples = corpus.examples.list;
  if (corpus.examples.dropped > 0) {
    fail(ExitCode::BadData,
         "{}:{} prompt: alone fills the {} tokens of --max-length; every row needs a score", options.data,
         corpus.examples.first_dropped_line, corpus.max_length);
  }
  AtomicFile file(options.out);
  std::vector<Sequence> sequences;
  for (const Example& example : examples) sequences.push_back(matched_sequence(example, example.row));
  const auto policy = score_with(options.model, options, sequences);
  const auto reference =
      options.reference.empty() ? std::vector<Tensor>() : score_with(options.reference, options, sequences);

  std::vector<double> rewards;
  std::vector<bool> labels;
  for (size_t i = 0; i < policy.size(); ++i) {
    const Example& example = examples[i];
    const double sum = sum_of(policy[i]);
    std::string line =
        fmt::format("{{\"prompt_tokens\": {}, \"completion_tokens\": {}, \"logps\": {}, \"sum\": {}",
                    example.prompt.size(), example.completion.size(), number_list(policy[i]), sum);
    if (!reference.empty()) {
      const double reference_sum = sum_of(reference[i]);
      rewards.push_back(options.beta * (sum - reference_sum));
      labels.push_back(example.label);
      line += fmt::format(", \"reference_sum\": {}, \"reward\": {}", reference_sum, rewards.back());
    }
    file.write(line + "}\n");
  }
  file.commit();
  fmt::print("{}: {} rows scored\n", options.out, policy.size());
  if (!rewards.empty()) {
    fmt::print("AUC of the reward against the labels: {:.3f}\n", area_under_curve(rewards, labels));
  }
}

}  // namespace prospect
