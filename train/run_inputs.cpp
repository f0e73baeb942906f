#include "train/run_inputs.h"

#include "model/initialise.h"
#include "train/commands.h"

namespace prospect {

namespace {

Corpus corpus_for(const TrainOptions& options, const std::string& data) {
  return load_corpus({.model = options.model,
                      .data = data,
                      .max_length = options.max_length,
                      .label_required = options.objective != "lm"});
}

}  // namespace

RunInputs load_inputs(const TrainOptions& options, const Device& device) {
  require_side_files(options.model);  // now, not when the model has been trained
  Corpus corpus = corpus_for(options, options.data);
  std::optional<Corpus> held_out;
  if (!options.eval_data.empty()) held_out = corpus_for(options, options.eval_data);
  if (!options.reference.empty()) require_shared_tokens(corpus, options.reference);
  const LoadOptions load{.dtype = parse_dtype(options.dtype), .trainable = true};
  Model policy = options.from_scratch
                     ? random_model(corpus.config, static_cast<uint64_t>(options.seed), load, device)
                     : load_model(options.model, load, device);
  return {std::move(corpus), std::move(held_out), std::move(policy)};
}

ObjectiveKind objective_kind(const TrainOptions& options) {
  const std::string& name = options.objective;
  if (name == "lm") return ObjectiveKind::Lm;
  if (name == "kto-zero" || name == "apo-zero-unpaired") return ObjectiveKind::KtoZero;
  return name == "kto-edifice" ? ObjectiveKind::KtoEdifice : ObjectiveKind::Kto;
}

BatchPlan plan_of(const TrainOptions& options, const Corpus& corpus) {
  const int64_t micro_batch_rows = options.per_device_train_batch_size;
  const int64_t batch_rows = micro_batch_rows * options.gradient_accumulation_steps;
  if (options.compat == "trl") {
    return BatchPlan::in_blocks(std::ssize(corpus.examples.list), batch_rows, micro_batch_rows);
  }
  std::vector<TextKey> texts;
  for (const Example& example : corpus.examples.list)
    texts.push_back({example.prompt_text, example.completion_text});
  return {static_cast<uint64_t>(options.seed), std::move(texts), batch_rows};
}

int64_t planned_steps(const TrainOptions& options, const BatchPlan& plan) {
  return options.max_steps > 0 ? options.max_steps : plan.steps_in(options.num_train_epochs);
}

}  // namespace prospect
