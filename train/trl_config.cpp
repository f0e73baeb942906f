#include "train/trl_config.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "kernels/common/check.h"

namespace prospect {

namespace {

using Json = nlohmann::json;

/// Keys that have an option of the same name and meaning.
const std::set<std::string_view>& same_keys() {
  static const std::set<std::string_view> keys{"beta",
                                               "desirable_weight",
                                               "undesirable_weight",
                                               "learning_rate",
                                               "warmup_steps",
                                               "lr_scheduler_type",
                                               "weight_decay",
                                               "adam_beta1",
                                               "adam_beta2",
                                               "adam_epsilon",
                                               "max_grad_norm",
                                               "num_train_epochs",
                                               "max_steps",
                                               "max_length",
                                               "per_device_train_batch_size",
                                               "gradient_accumulation_steps",
                                               "seed",
                                               "disable_dropout",
                                               "logging_steps",
                                               "eval_steps",
                                               "save_steps",
                                               "save_total_limit",
                                               "gradient_checkpointing"};
  return keys;
}

/// Keys that change nothing here: how Python loads, compiles, distributes, logs and publishes.
const std::set<std::string_view>& python_keys() {
  static const std::set<std::string_view> keys{"accelerator_config",
                                               "activation_checkpointing_kwargs",
                                               "activation_offloading",
                                               "average_tokens_across_devices",
                                               "batch_eval_metrics",
                                               "data_seed",
                                               "dataloader_in_order",
                                               "dataloader_multiprocessing_context",
                                               "dataloader_num_workers",
                                               "dataloader_persistent_workers",
                                               "dataloader_pin_memory",
                                               "dataloader_prefetch_factor",
                                               "dataset_num_proc",
                                               "ddp_backend",
                                               "ddp_broadcast_buffers",
                                               "ddp_bucket_cap_mb",
                                               "ddp_find_unused_parameters",
                                               "ddp_static_graph",
                                               "ddp_timeout",
                                               "debug",
                                               "disable_tqdm",
                                               "do_eval",
                                               "do_predict",
                                               "do_train",
                                               "enable_jit_checkpoint",
                                               "eval_accumulation_steps",
                                               "eval_do_concat_batches",
                                               "eval_use_gather_object",
                                               "full_determinism",
                                               "fsdp_config",
                                               "gradient_checkpointing_kwargs",
                                               "greater_is_better",
                                               "hub_always_push",
                                               "hub_model_id",
                                               "hub_private_repo",
                                               "hub_revision",
                                               "hub_strategy",
                                               "hub_token",
                                               "include_for_metrics",
                                               "include_num_input_tokens_seen",
                                               "include_tokens_per_second",
                                               "label_names",
                                               "length_column_name",
                                               "liger_kernel_config",
                                               "local_rank",
                                               "log_level",
                                               "log_level_replica",
                                               "log_on_each_node",
                                               "logging_dir",
                                               "logging_nan_inf_filter",
                                               "metric_for_best_model",
                                               "model_init_kwargs",
                                               "no_cuda",
                                               "overwrite_output_dir",
                                               "pad_to_multiple_of",
                                               "per_device_eval_batch_size",
                                               "precompute_ref_batch_size",
                                               "precompute_ref_log_probs",
                                               "prediction_loss_only",
                                               "project",
                                               "push_to_hub",
                                               "ref_model_mixup_alpha",
                                               "ref_model_sync_steps",
                                               "remove_unused_columns",
                                               "report_to",
                                               "restore_callback_states_from_checkpoint",
                                               "run_name",
                                               "save_on_each_node",
                                               "save_only_model",
                                               "save_safetensors",
                                               "skip_memory_metrics",
                                               "tf32",
                                               "torch_compile",
                                               "torch_compile_backend",
                                               "torch_compile_mode",
                                               "torch_empty_cache_steps",
                                               "trackio_bucket_id",
                                               "trackio_space_id",
                                               "trackio_static_space_id",
                                               "trust_remote_code",
                                               "use_cache",
                                               "use_cpu",
                                               "use_liger_kernel"};
  return keys;
}

/// Keys of things that this program does not do, with the values that ask for nothing.
const std::map<std::string_view, std::vector<Json>>& fixed_keys() {
  const Json none, object = Json::object(), list = Json::array();
  static const std::map<std::string_view, std::vector<Json>> keys{
      {"auto_find_batch_size", {false}},
      {"bf16_full_eval", {false}},
      {"dataloader_drop_last", {false}},
      {"deepspeed", {none}},
      {"eval_delay", {0}},
      {"eval_on_start", {false}},
      {"fp16", {false}},
      {"fp16_full_eval", {false}},
      {"fsdp", {none, false, "", list}},
      {"ignore_data_skip", {false}},
      {"label_smoothing_factor", {0}},
      {"load_best_model_at_end", {false}},
      {"logging_first_step", {false}},
      {"logging_strategy", {"steps"}},
      {"lr_scheduler_kwargs", {none, object}},
      {"neftune_noise_alpha", {none}},
      {"optim", {"adamw_torch", "adamw_torch_fused"}},
      {"optim_args", {none, ""}},
      {"optim_target_modules", {none, list}},
      {"parallelism_config", {none}},
      {"resume_from_checkpoint", {none, false}},
      {"router_aux_loss_coef", {none, 0}},
      {"sync_ref_model", {false}},
      {"train_sampling_strategy", {"sequential"}},
  };
  return keys;
}

/// One key of one file, for errors.
struct Entry {
  const std::string& source;
  std::string_view key;
  const Json& value;

  [[noreturn]] void refuse(std::string_view reason) const {
    fail(ExitCode::BadConfig, "{} {}: {}", source, key, reason);
  }
};

void read(const Entry& entry, std::string& field) {
  if (!entry.value.is_string()) entry.refuse("must be a string");
  field = entry.value.get<std::string>();
}
void read(const Entry& entry, bool& field) {
  if (!entry.value.is_boolean()) entry.refuse("must be true or false");
  field = entry.value.get<bool>();
}
void read(const Entry& entry, double& field) {
  if (!entry.value.is_number()) entry.refuse("must be a number");
  field = entry.value.get<double>();
}
/// 2.0 is a whole number too: Python writes some so.
void read(const Entry& entry, int64_t& field) {
  double number = 0.5;
  if (entry.value.is_number()) number = entry.value.get<double>();
  if (number != std::floor(number) || std::fabs(number) > 0x1p53) entry.refuse("must be a whole number");
  field = static_cast<int64_t>(number);
}

/// What null means where it is more than the default: no limit.
void read_null(std::string_view key, auto& field) {
  if constexpr (std::is_same_v<decltype(field), int64_t&>) {
    if (key == "max_length" || key == "save_total_limit") field = std::numeric_limits<int32_t>::max();
  }
}

std::string read_word(const Entry& entry) {
  std::string word;
  read(entry, word);
  return word;
}

/// "no", or "steps" with a number of its own.
void read_strategy(const Entry& entry, int64_t& steps) {
  const std::string strategy = read_word(entry);
  if (strategy != "no" && strategy != "steps") entry.refuse("must be no or steps");
  if (strategy == "no") steps = 0;
}

/// Keys that have an option of another name or form. Runs after the keys of the same name.
bool translate(const Entry& entry, TrainOptions& options) {
  if (entry.key == "output_dir") {
    read(entry, options.out);
  } else if (entry.key == "loss_type") {
    const std::string loss = read_word(entry);
    if (loss != "kto" && loss != "apo_zero_unpaired") entry.refuse("must be kto or apo_zero_unpaired");
    options.objective = loss == "kto" ? "kto" : "apo-zero-unpaired";
  } else if (entry.key == "bf16") {
    bool bf16 = false;
    if (!entry.value.is_null()) read(entry, bf16);
    options.dtype = bf16 ? "bf16" : "f32";
  } else if (entry.key == "activation_checkpointing") {
    if (!entry.value.is_null()) read(entry, options.gradient_checkpointing);
  } else if (entry.key == "eval_strategy") {
    read_strategy(entry, options.eval_steps);
  } else if (entry.key == "save_strategy") {
    read_strategy(entry, options.save_steps);
  } else {
    return false;
  }
  return true;
}

/// The transformers library's "constant" has no warm-up; the one that has is called otherwise.
void translate_schedule(TrainOptions& options) {
  if (options.lr_scheduler_type == "constant") options.warmup_steps = 0;
  if (options.lr_scheduler_type == "constant_with_warmup") options.lr_scheduler_type = "constant";
}

void require_fixed(const Entry& entry, const std::vector<Json>& allowed) {
  if (std::find(allowed.begin(), allowed.end(), entry.value) != allowed.end()) return;
  std::string values;
  for (const Json& value : allowed) values += (values.empty() ? "" : " or ") + value.dump();
  entry.refuse(fmt::format("must be {} here", values));
}

Json parse_object(std::string_view text, const std::string& source) {
  Json json;
  std::string at = source;  // "file key" of the key that is being read
  const auto follow_keys = [&](int depth, Json::parse_event_t event, const Json& key) {
    if (depth == 1 && event == Json::parse_event_t::key) at = source + " " + key.get<std::string>();
    return true;
  };
  try {
    json = Json::parse(text, follow_keys);
  } catch (const Json::parse_error& error) {
    const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(error.byte, text.size()));
    fail(ExitCode::BadConfig, "{}:{}: is not JSON", source, 1 + std::count(text.begin(), end, '\n'));
  } catch (const Json::exception&) {
    fail(ExitCode::BadConfig, "{}: holds a number beyond the range of doubles", at);
  }
  if (!json.is_object())
    fail(ExitCode::BadConfig, "{}:1: must be a JSON object of KTOConfig's arguments", source);
  return json;
}

}  // namespace

std::vector<std::string> apply_trl_config(TrainOptions& options, std::string_view text,
                                          const std::string& source) {
  const Json json = parse_object(text, source);
  visit_options(options, [&](const char* name, auto& field, const char*, const char*) {
    const auto found = json.find(name);
    if (found == json.end() || !same_keys().contains(name)) return;
    if (found->is_null()) {
      read_null(name, field);
    } else {
      read(Entry{source, name, *found}, field);
    }
  });
  if (json.contains("lr_scheduler_type")) translate_schedule(options);
  std::vector<std::string> ignored;
  for (const auto& [key, value] : json.items()) {
    const Entry entry{source, key, value};
    if (same_keys().contains(key) || translate(entry, options)) continue;
    if (const auto fixed = fixed_keys().find(key); fixed != fixed_keys().end()) {
      require_fixed(entry, fixed->second);
    } else if (python_keys().contains(key)) {
      ignored.push_back(key);
    } else {
      entry.refuse("is no argument of KTOConfig that this program knows");
    }
  }
  return ignored;
}

}  // namespace prospect
