#include <fmt/core.h>

#include <cmath>
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

void check_score_options(const ScoreOptions& options) {
  if (!(options.beta > 0)) fail(ExitCode::BadConfig, "--beta: must be above 0");
  if (options.max_length < 0) fail(ExitCode::BadConfig, "--max-length: must not be negative");
  if (options.micro_batch_tokens <= 0) fail(ExitCode::BadConfig, "--micro-batch-tokens: must be above 0");
}

/// The sum of a row's log-probabilities. JSON has no NaN, so one stops the command.
double finite_sum(const Tensor& values, const Example& example, const ScoreOptions& options,
                  const std::string& model) {
  const double sum = sum_of(values);
  if (!std::isfinite(sum)) {
    fail(ExitCode::NumericStop, "{}:{} completion: {} gives it a log-probability that is not finite",
         options.data, example.line, model);
  }
  return sum;
}

/// Nothing without rewards, or where all rows have one label (a row without any counts as desirable).
void print_agreement(const Examples& examples, std::span<const double> rewards) {
  if (rewards.empty() || examples.desirable() == 0 || examples.undesirable() == 0) return;
  std::vector<bool> labels;
  for (const Example& example : examples.list) labels.push_back(example.label);
  fmt::print("AUC of the reward against the labels: {:.3f}\n", area_under_curve(rewards, labels));
}

}  // namespace

void run_score(const ScoreOptions& options, const FileSystem& system) {
  check_score_options(options);
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
  if (!options.reference.empty()) require_shared_tokens(corpus, options.reference);
  require_another_file(options.out, options.data);
  AtomicFile file(system, options.out);
  std::vector<Sequence> sequences;
  for (const Example& example : examples) sequences.push_back(matched_sequence(example, example.row));
  const auto policy = score_with(options.model, options, sequences);
  const auto reference =
      options.reference.empty() ? std::vector<Tensor>() : score_with(options.reference, options, sequences);

  std::vector<double> rewards;
  for (size_t i = 0; i < policy.size(); ++i) {
    const Example& example = examples[i];
    const double sum = finite_sum(policy[i], example, options, options.model);
    std::string line =
        fmt::format("{{\"prompt_tokens\": {}, \"completion_tokens\": {}, \"logps\": {}, \"sum\": {}",
                    example.prompt.size(), example.completion.size(), number_list(policy[i]), sum);
    if (!reference.empty()) {
      const double reference_sum = finite_sum(reference[i], example, options, options.reference);
      rewards.push_back(options.beta * (sum - reference_sum));
      line += fmt::format(", \"reference_sum\": {}, \"reward\": {}", reference_sum, rewards.back());
    }
    file.write(line + "}\n");
  }
  file.commit();
  fmt::print("{}: {} rows scored\n", options.out, policy.size());
  print_agreement(corpus.examples, rewards);
}

}  // namespace prospect
