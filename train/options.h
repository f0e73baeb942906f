#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>

#include "train/batch_plan.h"

namespace prospect {

/// Everything `prospect train` can be told. A name that TRL's KTOConfig has means what it means there.
struct TrainOptions {
  std::string model, data, out, eval_data, reference;
  std::string reference_cache = "auto";
  std::string objective = "kto";
  std::string compat = "none";
  bool from_scratch = false;
  bool resume = false;

  double beta = 0.1;
  double desirable_weight = 1;
  double undesirable_weight = 1;
  std::string balance = "none";

  double learning_rate = 1e-6;
  std::string lr_scheduler_type = "linear";
  int64_t warmup_steps = 0;
  double weight_decay = 0;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_epsilon = 1e-8;
  double max_grad_norm = 1;
  int64_t max_skipped_steps = 3;
  bool stop_on_collapse = true;

  double num_train_epochs = 3;
  int64_t max_steps = -1;
  int64_t max_length = 1024;
  int64_t per_device_train_batch_size = 8;
  int64_t gradient_accumulation_steps = 1;
  int64_t seed = 42;
  bool disable_dropout = true;

  int64_t logging_steps = 10;
  int64_t eval_steps = 0;
  int64_t save_steps = 500;
  int64_t save_total_limit = 2;

  std::string dtype = "f32";
  int64_t micro_batch_tokens = kMicroBatchTokens;
  bool gradient_checkpointing = false;
  int64_t threads = 0;
  double memory_gib = 0;
};

/// Calls visit(name, field, kind of value, help) for every option, in the order of the help text. The one
/// table behind the command line, the TOML file and config.toml. Names are TRL's, with underscores.
template <class Options, class Visit>
void visit_options(Options& options, const Visit& visit) {
  visit("model", options.model, "DIR_OR_GGUF", "the model to align: a Hugging Face folder or a .gguf file");
  visit("data", options.data, "ROWS",
        "feedback rows, JSONL: {prompt, completion, label} or {prompt, chosen, rejected}");
  visit("out", options.out, "RUN", "folder of the run: metrics.jsonl, config.toml, checkpoints/, model/");
  visit("eval_data", options.eval_data, "ROWS", "held-out rows, evaluated at the end and every --eval-steps");
  visit("reference", options.reference, "DIR_OR_GGUF",
        "the reference model (default: --model as it is at the start)");
  visit("reference_cache", options.reference_cache, "DIR",
        "where the reference's log-probabilities are kept for later runs; auto: ~/.cache/prospect/reference "
        "(or below XDG_CACHE_HOME), at most 4 GiB; none: nowhere");
  visit(
      "objective", options.objective, "NAME",
      "kto: the paper's; kto-zero and apo-zero-unpaired: z0 = 0; kto-edifice: matched mean with gradient, no "
      "clamp; lm: next-token loss");
  visit("compat", options.compat, "NAME",
        "trl: rows in order, neighbours as partners, z0, loss and metrics by --per-device-train-batch-size "
        "rows, "
        "as TRL 1.16 does");
  visit("from_scratch", options.from_scratch, "",
        "draw the weights from the seed; --model then needs config.json and tokenizer only");
  visit("resume", options.resume, "",
        "go on from the newest checkpoint in --out, where there is none from the first step; the config.toml "
        "there supplies all options");

  visit("beta", options.beta, "X", "how strongly rewards saturate: larger stays closer to the reference");
  visit("desirable_weight", options.desirable_weight, "X", "lambda_D, weight of rows labelled true");
  visit("undesirable_weight", options.undesirable_weight, "X",
        "lambda_U, weight of rows labelled false (see `prospect inspect`)");
  visit("balance", options.balance, "NAME",
        "auto: choose both weights so that the two labels weigh the same, the smaller weight 1; none: as "
        "given");

  visit("learning_rate", options.learning_rate, "X", "peak learning rate of AdamW");
  visit("lr_scheduler_type", options.lr_scheduler_type, "NAME",
        "linear, cosine or constant, after the warm-up");
  visit("warmup_steps", options.warmup_steps, "N", "steps of linear warm-up from 0");
  visit("weight_decay", options.weight_decay, "X", "decoupled decay of matrices and embeddings");
  visit("adam_beta1", options.adam_beta1, "X", "decay of the first moment");
  visit("adam_beta2", options.adam_beta2, "X", "decay of the second moment");
  visit("adam_epsilon", options.adam_epsilon, "X", "added to the root of the second moment");
  visit("max_grad_norm", options.max_grad_norm, "X", "clip the gradient's norm to this; 0: never");
  visit("max_skipped_steps", options.max_skipped_steps, "N",
        "steps with a loss or gradient that is not finite are skipped, up to N; one more ends the run");
  visit("stop_on_collapse", options.stop_on_collapse, "",
        "end the run, with a checkpoint, when desirable rows have become hopelessly improbable "
        "(--no-stop-on-collapse only warns)");

  visit("num_train_epochs", options.num_train_epochs, "X", "passes over the rows");
  visit("max_steps", options.max_steps, "N", "stop after N optimizer steps; -1: by epochs");
  visit("max_length", options.max_length, "N", "tokens of prompt and completion; the rest is cut off");
  visit("per_device_train_batch_size", options.per_device_train_batch_size, "N",
        "rows of a step on one device; with --compat trl also the rows that share a z0");
  visit("gradient_accumulation_steps", options.gradient_accumulation_steps, "N",
        "multiplies the rows of a step; z0 is over all of them, but for --compat trl");
  visit("seed", options.seed, "N", "order of rows, partners for z0, dropout, initial weights");
  visit("disable_dropout", options.disable_dropout, "",
        "train without dropout (--no-disable-dropout keeps the model's)");

  visit("logging_steps", options.logging_steps, "N", "a line of metrics every N steps");
  visit("eval_steps", options.eval_steps, "N", "evaluate every N steps; 0: only at the end");
  visit("save_steps", options.save_steps, "N", "a checkpoint every N steps and at the end; 0: none");
  visit("save_total_limit", options.save_total_limit, "N", "checkpoints to keep");

  visit("dtype", options.dtype, "NAME", "f32, bf16 or f64: storage of weights and activations");
  visit("micro_batch_tokens", options.micro_batch_tokens, "N",
        "tokens in memory at a time; changes speed and memory, not results");
  visit("gradient_checkpointing", options.gradient_checkpointing, "",
        "keep block inputs only and run blocks twice: less memory, a third slower");
  visit("threads", options.threads, "N", "CPU threads; 0: all");
  visit("memory_gib", options.memory_gib, "X", "refuse to use more memory than this; 0: no limit");
}

/// What stands after the -- of an option on the command line: its name with dashes for underscores.
inline std::string with_dashes(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

/// Sets fields from a TOML text (train/trl_config.h does so from the JSON of a KTOConfig). Throws:
/// Error(BadConfig) `source:line key: reason` for an unknown key, a value of another type, or text that is
/// not TOML.
void apply_toml(TrainOptions& options, std::string_view text, const std::string& source);
/// Every option as TOML, in the order of the table; apply_toml of it gives the same options.
std::string to_toml(const TrainOptions& options);
/// Throws: Error(BadConfig) naming the option and what it must be.
void check_options(const TrainOptions& options);

}  // namespace prospect
