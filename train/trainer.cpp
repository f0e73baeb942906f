#include "train/trainer.h"

#include <cmath>

#include <nlohmann/json.hpp>

#include "model/initialise.h"
#include "train/commands.h"
#include "train/output_folder.h"
#include "train/stop_request.h"

namespace prospect {

namespace {

namespace fs = std::filesystem;

ObjectiveKind objective_kind(const std::string& name) {
  if (name == "lm") return ObjectiveKind::Lm;
  if (name == "kto-zero" || name == "apo-zero-unpaired") return ObjectiveKind::KtoZero;
  return name == "kto-edifice" ? ObjectiveKind::KtoEdifice : ObjectiveKind::Kto;
}

BatchPass::Options pass_options(const TrainOptions& options, const Corpus& corpus) {
  return {.objective = {.kind = objective_kind(options.objective),
                        .beta = options.beta,
                        .desirable_weight = options.desirable_weight,
                        .undesirable_weight = options.undesirable_weight,
                        .float_sigmoid = options.compat == "trl"},
          .max_length = corpus.max_length,
          .micro_batch_tokens = options.micro_batch_tokens,
          .gradient_checkpointing = options.gradient_checkpointing,
          .dropout = !options.disable_dropout,
          .seed = static_cast<uint64_t>(options.seed)};
}

/// The plan over all rows of a corpus.
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

Averaging averaging_of(const TrainOptions& options) {
  return options.compat == "trl" ? Averaging::Groups : Averaging::Rows;
}

OptimizerOptions optimizer_options(const TrainOptions& options) {
  return {.beta1 = options.adam_beta1,
          .beta2 = options.adam_beta2,
          .epsilon = options.adam_epsilon,
          .weight_decay = options.weight_decay};
}

Corpus corpus_for(const TrainOptions& options, const std::string& data) {
  return load_corpus({.model = options.model,
                      .data = data,
                      .max_length = options.max_length,
                      .label_required = options.objective != "lm"});
}

std::string summary_line(int64_t step, int64_t steps, const Metrics& metrics) {
  std::string text = fmt::format("step {:>{}}/{}", step, std::to_string(steps).size(), steps);
  const auto append = [&](const char* label, const char* name, const char* format) {
    const double value = find_metric(metrics, name, std::nan(""));
    if (!std::isnan(value)) text += fmt::format("  {} ", label) + fmt::format(fmt::runtime(format), value);
  };
  append("loss", "loss", "{:.4f}");
  append("kl", "kl", "{:.3f}");
  append("chosen", "rewards/chosen", "{:+.3f}");
  append("rejected", "rewards/rejected", "{:+.3f}");
  append("norm", "grad_norm", "{:.2f}");
  append("lr", "learning_rate", "{:.1e}");
  append("tokens/s", "tokens_per_second", "{:.0f}");
  return text;
}

/// Which rows a step has follows from these, so a run that goes on keeps them.
void require_same_plan(const TrainOptions& now, const TrainOptions& then) {
  const auto require_same = [](const char* option, const auto& is, const auto& was) {
    if (is != was) {
      fail(ExitCode::BadConfig, "--{}: the run was started with {}, going on with {} would mix its rows",
           option, was, is);
    }
  };
  require_same("objective", now.objective, then.objective);
  require_same("compat", now.compat, then.compat);
  require_same("seed", now.seed, then.seed);
  require_same("max-length", now.max_length, then.max_length);
  require_same("per-device-train-batch-size", now.per_device_train_batch_size,
               then.per_device_train_batch_size);
  require_same("gradient-accumulation-steps", now.gradient_accumulation_steps,
               then.gradient_accumulation_steps);
}

/// Without a reference there is nothing to report about it.
Metrics metrics_of(const MetricsWindow& window, const TrainOptions& options) {
  Metrics metrics = window.metrics(options.beta);
  if (options.objective == "lm") {
    std::erase_if(metrics, [](const auto& metric) {
      return metric.first.starts_with("kl") || metric.first.starts_with("rewards/");
    });
  }
  return metrics;
}

}  // namespace

RunInputs load_inputs(const TrainOptions& options, const Device& device) {
  Corpus corpus = corpus_for(options, options.data);
  std::optional<Corpus> held_out;
  if (!options.eval_data.empty()) held_out = corpus_for(options, options.eval_data);
  if (!options.reference.empty()) require_shared_tokens(corpus, options.reference);
  const auto load = [&](const std::string& path, bool trainable) {
    const LoadOptions load_options{.dtype = parse_dtype(options.dtype), .trainable = trainable};
    const bool draw = options.from_scratch && (trainable || options.reference.empty());
    return draw ? random_model(corpus.config, static_cast<uint64_t>(options.seed), load_options, device)
                : load_model(path, load_options, device);
  };
  Model policy = load(options.model, true);
  std::optional<Model> reference;
  if (options.objective != "lm") {
    reference = load(options.reference.empty() ? options.model : options.reference, false);
  }
  return {std::move(corpus), std::move(held_out), std::move(policy), std::move(reference)};
}

Trainer::Trainer(const TrainOptions& options, RunInputs& inputs, const FileSystem& system)
    : options_(options),
      inputs_(inputs),
      system_(system),
      communicator_(Communicator::local()),
      policy_(inputs.policy),
      reference_(inputs.reference ? std::optional<Transformer>(*inputs.reference) : std::nullopt),
      plan_(plan_of(options, inputs.corpus)),
      steps_(options.max_steps > 0 ? options.max_steps : plan_.steps_in(options.num_train_epochs)),
      optimizer_(inputs.policy.parameters, optimizer_options(options)),
      pass_(policy_, reference_ ? &*reference_ : nullptr, *communicator_,
            pass_options(options, inputs.corpus)),
      window_(averaging_of(options)) {}

void Trainer::run() {
  const Schedule schedule{.kind = schedule_kind(options_.lr_scheduler_type),
                          .peak = options_.learning_rate,
                          .warmup_steps = options_.warmup_steps,
                          .total_steps = steps_};
  MetricsLog log(system_, fs::path(options_.out) / "metrics.jsonl", done_);
  Progress progress("train", done_, steps_);
  MetricsClock clock;
  const StopRequest stop;
  while (done_ < steps_) {
    const StepPlan plan = plan_.step(done_);
    const double learning_rate = schedule.learning_rate(done_);
    StepRecord record = pass_.train(inputs_.corpus.examples.list, plan);
    record.grad_norm = update(learning_rate);
    ++done_;
    window_.add(record);
    progress.advance(done_, fmt::format("loss {:.4f}", record.loss()));

    const bool last = done_ == steps_;
    if (last || done_ % options_.logging_steps == 0) {
      write_metrics(learning_rate, log, clock, progress);
    }
    if (inputs_.held_out && (last || (options_.eval_steps > 0 && done_ % options_.eval_steps == 0))) {
      evaluate(log, progress);
    }
    const bool save_due = options_.save_steps > 0 && (last || done_ % options_.save_steps == 0);
    if (save_due || stop.made()) save();
    if (stop.made() && !last) {
      fail(ExitCode::Preempted,
           "stopped after step {} of {}, with a checkpoint; go on with: prospect train --out {} --resume",
           done_, steps_, options_.out);
    }
  }
  write_folder(system_, fs::path(options_.out) / "model",
               [&](const fs::path& folder) { save_model(system_, inputs_.policy, folder, options_.model); });
  progress.line(fmt::format("{}/model: the aligned model", options_.out));
}

double Trainer::update(double learning_rate) {
  const Optimizer::StepResult result = optimizer_.step(learning_rate, options_.max_grad_norm);
  if (!result.finite) {
    fail(ExitCode::NumericStop,
         "step {}: the gradient is not finite; lower --learning-rate, or look at the rows with "
         "the longest completions",
         done_ + 1);
  }
  return result.grad_norm;
}

void Trainer::write_metrics(double learning_rate, MetricsLog& log, MetricsClock& clock, Progress& progress) {
  tokens_seen_ += window_.tokens();
  Metrics metrics = metrics_of(window_, options_);
  metrics.emplace_back("learning_rate", learning_rate);
  metrics.emplace_back("num_tokens", tokens_seen_);
  metrics.emplace_back("tokens_per_second", clock.per_second(window_.tokens()));
  metrics.emplace_back("epoch", epoch());
  metrics.emplace_back("step", static_cast<double>(done_));
  log.write(metrics);
  const std::string left = progress.time_left();
  progress.line(summary_line(done_, steps_, metrics) + (done_ < steps_ ? "  " + left + " left" : ""));
  window_.clear();
}

void Trainer::evaluate(MetricsLog& log, Progress& progress) {
  const Corpus& held_out = *inputs_.held_out;
  BatchPlan plan = plan_of(options_, held_out);
  MetricsWindow window(averaging_of(options_));
  std::vector<double> log_ratios;
  std::vector<bool> labels;
  for (int64_t step = 0; step < plan.steps_per_epoch(); ++step) {
    const StepPlan batch = plan.step(step);
    const BatchPass::Evaluation evaluation = pass_.evaluate(held_out.examples.list, batch);
    window.add(evaluation.record);
    log_ratios.insert(log_ratios.end(), evaluation.log_ratios.begin(), evaluation.log_ratios.end());
    for (const int64_t index : batch.examples)
      labels.push_back(held_out.examples.list[static_cast<size_t>(index)].label);
  }
  Metrics metrics;
  for (const auto& [name, value] : metrics_of(window, options_)) {
    if (name != "grad_norm") metrics.emplace_back("eval_" + name, value);
  }
  if (options_.objective != "lm")
    metrics.emplace_back("eval_rewards/auc", area_under_curve(log_ratios, labels));
  metrics.emplace_back("epoch", epoch());
  metrics.emplace_back("step", static_cast<double>(done_));
  log.write(metrics);
  std::string text = fmt::format("eval at step {}: loss {:.4f}", done_, find_metric(metrics, "eval_loss", 0));
  if (options_.objective != "lm") {
    text += fmt::format(", reward AUC {:.3f}", find_metric(metrics, "eval_rewards/auc", 0.5));
  }
  progress.line(text);
}

double Trainer::epoch() const {
  return static_cast<double>(done_) / static_cast<double>(plan_.steps_per_epoch());
}

std::vector<NamedTensor> Trainer::state_tensors() const {
  std::vector<NamedTensor> tensors = optimizer_.state();
  tensors.push_back({"parameters", inputs_.policy.parameters.values()});
  return tensors;
}

void Trainer::save() {
  const nlohmann::json state{{"step", done_},
                             {"tokens_seen", tokens_seen_},
                             {"window", window_.state()},
                             {"data_digest", inputs_.corpus.digest},
                             {"options", to_toml(options_)}};
  save_checkpoint(system_, fs::path(options_.out) / "checkpoints", done_, state.dump(), state_tensors(),
                  options_.save_total_limit);
}

void Trainer::resume() {
  const fs::path folder = fs::path(options_.out) / "checkpoints";
  clean_checkpoints(system_, folder);
  const auto newest =
      latest_checkpoint(system_, folder, [](const std::string& why) { fmt::print(stderr, "{}\n", why); });
  if (!newest) fail(ExitCode::MissingInput, "{}: no complete checkpoint to resume from", folder.string());
  const auto state = nlohmann::json::parse(newest->state());
  if (state.at("data_digest").get<uint64_t>() != inputs_.corpus.digest) {
    fail(ExitCode::BadConfig, "{}: is not the file that this run was started with", options_.data);
  }
  TrainOptions started;
  apply_toml(started, state.at("options").get<std::string>(), "state.json");
  require_same_plan(options_, started);
  newest->load(state_tensors());
  done_ = state.at("step").get<int64_t>();
  if (done_ > steps_) {
    fail(ExitCode::BadConfig, "--max-steps: the run has made {} steps already, more than {}", done_, steps_);
  }
  tokens_seen_ = state.at("tokens_seen").get<double>();
  window_.restore(state.at("window").get<std::vector<double>>());
}

}  // namespace prospect
