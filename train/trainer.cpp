#include "train/trainer.h"

#include <cmath>

#include "train/output_folder.h"
#include "train/skipped_rows.h"
#include "train/stop_request.h"

namespace prospect {

namespace {

namespace fs = std::filesystem;

BatchPass::Options pass_options(const TrainOptions& options, const Corpus& corpus) {
  return {.objective = {.kind = objective_kind(options),
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

ReferenceLogps logps_of(const Reference* reference) {
  if (reference == nullptr) return {};
  return [reference](std::span<const Sequence> sequences) { return reference->log_probabilities(sequences); };
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

Guards::Options guard_options(const TrainOptions& options) {
  return {.beta = options.beta,
          .learning_rate = options.learning_rate,
          .warmup_steps = options.warmup_steps,
          .estimates_z0 = options.objective == "kto",
          .rows_option =
              options.compat == "trl" ? "--per-device-train-batch-size" : "--gradient-accumulation-steps"};
}

/// The rows behind numbers that are not finite; all of the step where none has one of its own, but their sum.
std::span<const int64_t> suspects(const StepRecord& record, const StepPlan& plan) {
  return record.unsound.empty() ? plan.examples : record.unsound;
}

/// Without a reference there is nothing to report about it.
Metrics metrics_of(const MetricsWindow& window, const TrainOptions& options) {
  Metrics metrics = window.metrics(options.beta);
  if (options.objective == "lm") {
    std::erase_if(metrics, [](const auto& metric) {
      const std::string& name = metric.first;
      return name.starts_with("kl") || name.starts_with("rewards/") || name.starts_with("guards/");
    });
  }
  return metrics;
}

}  // namespace

Trainer::Trainer(const TrainOptions& options, RunInputs& inputs, const Reference* reference,
                 const FileSystem& system)
    : options_(options),
      inputs_(inputs),
      system_(system),
      communicator_(Communicator::local()),
      policy_(inputs.policy),
      plan_(plan_of(options, inputs.corpus)),
      steps_(planned_steps(options, plan_)),
      optimizer_(inputs.policy.parameters, optimizer_options(options)),
      pass_(policy_, logps_of(reference), *communicator_, pass_options(options, inputs.corpus)),
      window_(averaging_of(options)),
      guards_(guard_options(options)) {}

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
    const std::string reason = step(plan, learning_rate, progress);
    const bool last = done_ == steps_;
    if (last || done_ % options_.logging_steps == 0) {
      write_metrics(learning_rate, log, clock, progress);
    }
    if (inputs_.held_out && (last || (options_.eval_steps > 0 && done_ % options_.eval_steps == 0))) {
      evaluate(log, progress);
    }
    const bool save_due = options_.save_steps > 0 && (last || done_ % options_.save_steps == 0);
    if (save_due || stop.made() || !reason.empty()) save(log, reason.empty() ? 0 : 1);
    if (!reason.empty()) {
      fail(ExitCode::NumericStop, "stopped after step {} of {}, with a checkpoint: {}", done_, steps_,
           reason);
    }
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

std::string Trainer::step(const StepPlan& plan, double learning_rate, Progress& progress) {
  StepRecord record = pass_.train(inputs_.corpus.examples.list, plan);
  ++done_;
  if (!record.sound()) return skip("loss", suspects(record, plan), progress);
  const Optimizer::StepResult result = optimizer_.step(learning_rate, options_.max_grad_norm);
  if (!result.finite) return skip("gradient", plan.examples, progress);
  record.grad_norm = result.grad_norm;
  window_.add(record);
  progress.advance(done_, fmt::format("loss {:.4f}", record.loss()));
  return options_.objective == "lm" ? "" : watch(record, progress);
}

std::string Trainer::skip(const char* what, std::span<const int64_t> examples, Progress& progress) {
  ++skipped_;
  const fs::path path = fs::path(options_.out) / "skipped" / fmt::format("step-{:08}.jsonl", done_);
  std::string where = path.string();
  try {
    copy_rows(system_, inputs_.corpus, examples, path);
  } catch (const Error& error) {
    if (error.code() == ExitCode::IoFailure) throw;
    where = error.what();
  }
  const std::string text = fmt::format("step {}: the {} is not a finite number; its rows: {} ({})", done_,
                                       what, name_rows(inputs_.corpus, examples), where);
  progress.advance(done_, "skipped");
  if (skipped_ > options_.max_skipped_steps) {
    return fmt::format(
        "{}; {} steps were skipped before, as many as --max-skipped-steps allows. Look at these rows; start "
        "again without them or with a lower --learning-rate, or go on after this step with: prospect train "
        "--out {} --resume --max-skipped-steps {}",
        text, skipped_ - 1, options_.out, 2 * skipped_);
  }
  progress.warn(
      fmt::format("{}; the step is skipped, {} of at most {}", text, skipped_, options_.max_skipped_steps));
  return "";
}

std::string Trainer::watch(const StepRecord& record, Progress& progress) {
  const StepSigns signs = StepSigns::of(record, done_);
  for (const std::string& warning : guards_.observe(signs)) progress.warn(warning);
  return options_.stop_on_collapse ? guards_.collapse(signs) : "";
}

void Trainer::write_metrics(double learning_rate, MetricsLog& log, MetricsClock& clock, Progress& progress) {
  tokens_seen_ += window_.tokens();
  Metrics metrics = metrics_of(window_, options_);
  metrics.emplace_back("run/skipped", static_cast<double>(skipped_));
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
    if (!evaluation.record.sound()) {
      progress.warn(
          fmt::format("step {}: not evaluated, since the loss of held-out rows is not a finite number: {}",
                      done_, name_rows(held_out, suspects(evaluation.record, batch))));
      return;
    }
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

void Trainer::save(MetricsLog& log, int64_t spared) {
  log.sync();
  const RunState state{.step = done_,
                       .skipped = skipped_,
                       .tokens_seen = tokens_seen_,
                       .window = window_.state(),
                       .guards = guards_.state(),
                       .data_digest = inputs_.corpus.digest,
                       .options = options_};
  save_checkpoint(system_, fs::path(options_.out) / "checkpoints", done_, to_text(state), state_tensors(),
                  options_.save_total_limit + spared);
}

void Trainer::resume(const ResumePoint& point) {
  const auto& [checkpoint, state] = point;
  const std::string source = checkpoint.state_path().string();
  window_.restore(state.window, source + " window");
  guards_.restore(state.guards, source + " guards");
  checkpoint.load(state_tensors());
  done_ = state.step;
  skipped_ = state.skipped;
  tokens_seen_ = state.tokens_seen;
}

}  // namespace prospect
