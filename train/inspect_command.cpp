#include <fmt/core.h>

#include "model/model.h"
#include "train/balance.h"
#include "train/commands.h"
#include "train/corpus.h"
#include "train/memory_plan.h"

namespace prospect {

namespace {

void print_model(const ModelConfig& config, const std::string& path) {
  fmt::print("model {}\n", path);
  fmt::print("  {}: {} layers, hidden {}, {} heads ({} for keys), MLP {}, {} tokens, {} positions{}\n",
             config.model_type, config.layers, config.hidden_size, config.heads, config.kv_heads,
             config.intermediate_size, config.vocab_size, config.max_positions,
             config.tied_head ? ", tied head" : "");
  fmt::print("  {:.1f} M parameters\n", static_cast<double>(parameter_count(config)) / 1e6);
}

std::string spread(const Lengths& lengths) {
  return fmt::format("{} to {}, median {}, mean {:.1f}", lengths.shortest, lengths.longest, lengths.median,
                     lengths.mean);
}

void print_balance(const Examples& examples) {
  const int64_t desirable = examples.desirable(), undesirable = examples.undesirable();
  const double share = 100.0 * static_cast<double>(desirable) / static_cast<double>(examples.list.size());
  fmt::print("  {} desirable ({:.1f} %), {} undesirable\n", desirable, share, undesirable);
  if (desirable == 0 || undesirable == 0) {
    fmt::print("  all rows have one label: KTO can only push in one direction\n");
    return;
  }
  const LabelWeights weights = balanced_weights(examples);
  fmt::print("  suggested weights: --desirable-weight {:.2f} --undesirable-weight {:.2f}\n",
             weights.desirable, weights.undesirable);
}

void print_data(const Corpus& corpus, const std::string& path) {
  const Examples& examples = corpus.examples;
  fmt::print("data {}\n  {} rows", path, examples.list.size());
  if (examples.dropped > 0)
    fmt::print(", {} dropped (the prompt alone fills {} tokens)", examples.dropped, corpus.max_length);
  if (examples.truncated > 0) fmt::print(", {} cut to {} tokens", examples.truncated, corpus.max_length);
  fmt::print("\n");
  print_balance(examples);
  fmt::print("  prompt tokens:     {}\n", spread(examples.prompt_lengths()));
  fmt::print("  completion tokens: {}\n", spread(examples.completion_lengths()));
}

void print_memory(const MemoryPlan& plan) {
  const auto print_part = [](const std::string& name, int64_t bytes) {
    fmt::print("  {:<30} {:>9.1f} MiB\n", name, static_cast<double>(bytes) / (1 << 20));
  };
  fmt::print("memory to train, estimated\n");
  for (const auto& [name, bytes] : plan.training) print_part(name, bytes);
  print_part("total", sum_of(plan.training));
  print_part("before that, for the reference", sum_of(plan.reference));
}

}  // namespace

void run_inspect(const InspectOptions& options) {
  const ModelConfig config = load_config(options.model);
  print_model(config, options.model);
  if (!options.data.empty()) {
    print_data(load_corpus({.model = options.model, .data = options.data, .max_length = options.max_length}),
               options.data);
  }
  print_memory(plan_memory(config, {.dtype = parse_dtype(options.dtype),
                                    .micro_batch_tokens = options.micro_batch_tokens,
                                    .gradient_checkpointing = options.gradient_checkpointing}));
}

}  // namespace prospect
