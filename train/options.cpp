#include "train/options.h"

#include <toml++/toml.h>

#include <algorithm>
#include <limits>
#include <set>

#include "kernels/common/check.h"
#include "model/tokenizer/unicode.h"

namespace prospect {

namespace {

[[noreturn]] void fail_key(const std::string& source, const toml::node& node, std::string_view key,
                           std::string_view reason) {
  fail(ExitCode::BadConfig, "{}:{} {}: {}", source, node.source().begin.line, key, reason);
}

void read(const toml::node& node, std::string& field, const std::string& source, std::string_view key) {
  if (!node.is_string()) fail_key(source, node, key, "must be a string");
  field = **node.as_string();
}
void read(const toml::node& node, bool& field, const std::string& source, std::string_view key) {
  if (!node.is_boolean()) fail_key(source, node, key, "must be true or false");
  field = **node.as_boolean();
}
void read(const toml::node& node, int64_t& field, const std::string& source, std::string_view key) {
  if (!node.is_integer()) fail_key(source, node, key, "must be a whole number");
  field = **node.as_integer();
}
void read(const toml::node& node, double& field, const std::string& source, std::string_view key) {
  if (node.is_integer()) {
    field = static_cast<double>(**node.as_integer());
  } else if (node.is_floating_point()) {
    field = **node.as_floating_point();
  } else {
    fail_key(source, node, key, "must be a number");
  }
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}
std::string literal(const std::string& value) {
  return quoted(value);
}
std::string literal(bool value) {
  return value ? "true" : "false";
}
std::string literal(int64_t value) {
  return std::to_string(value);
}
std::string literal(double value) {
  std::string text = fmt::format("{}", value);  // the shortest text that reads back as the same double
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}

void require_that(bool good, std::string_view option, std::string_view reason) {
  if (!good) fail(ExitCode::BadConfig, "--{}: {}", option, reason);
}

void require_one_of(const std::string& value, std::string_view option, const std::set<std::string>& allowed) {
  std::string names;
  for (const std::string& name : allowed) names += (names.empty() ? "" : ", ") + name;
  if (!allowed.contains(value)) fail(ExitCode::BadConfig, "--{}: {} is not one of {}", option, value, names);
}

/// The parser makes a table in a table of every dot of a key, and recurses into them. Options have none.
void require_shallow(std::string_view text, const std::string& source) {
  constexpr std::ptrdiff_t kMostDots = 1000;
  if (std::count(text.begin(), text.end(), '.') > kMostDots)
    fail(ExitCode::BadConfig, "{}: has more than {} dots, which no list of options has", source, kMostDots);
}

/// config.toml and checkpoints hold the paths, absolute ones, as UTF-8.
void require_paths_as_text(const TrainOptions& options) {
  visit_options(options, [](const char* name, const auto& field, const char* kind, const char*) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(field)>, std::string>) {
      if (std::string_view(kind) == "NAME" || field.empty()) return;
      require_that(tokenization::is_valid_utf8(std::filesystem::absolute(field).string()), with_dashes(name),
                   "its path is not valid UTF-8");
    }
  });
}

}  // namespace

void apply_toml(TrainOptions& options, std::string_view text, const std::string& source) {
  require_shallow(text, source);
  toml::table table;
  try {
    table = toml::parse(text, source);
  } catch (const toml::parse_error& error) {
    fail(ExitCode::BadConfig, "{}:{}: {}", source, error.source().begin.line, error.description());
  }
  std::set<std::string_view> known;
  visit_options(options, [&](const char* name, auto& field, const char*, const char*) {
    known.insert(name);
    if (const toml::node* node = table.get(name)) read(*node, field, source, name);
  });
  for (const auto& [key, node] : table) {
    if (!known.contains(key.str())) fail_key(source, node, key.str(), "is no option of `prospect train`");
  }
}

std::string to_toml(const TrainOptions& options) {
  std::string text;
  visit_options(options, [&](const char* name, const auto& field, const char*, const char*) {
    text += fmt::format("{} = {}\n", name, literal(field));
  });
  return text;
}

void check_options(const TrainOptions& options) {
  require_paths_as_text(options);
  require_that(!options.model.empty(), "model",
               "name the model to align, a Hugging Face folder or a .gguf file");
  require_that(!options.data.empty(), "data", "name the feedback rows, a JSONL file");
  require_that(!options.out.empty(), "out", "name a folder for the run");
  require_that(!options.reference_cache.empty(), "reference-cache", "name a folder, auto or none");
  require_one_of(options.objective, "objective",
                 {"kto", "kto-zero", "apo-zero-unpaired", "kto-edifice", "lm"});
  require_one_of(options.compat, "compat", {"none", "trl"});
  require_one_of(options.balance, "balance", {"none", "auto"});
  require_one_of(options.lr_scheduler_type, "lr-scheduler-type", {"linear", "cosine", "constant"});
  require_one_of(options.dtype, "dtype", {"f32", "bf16", "f64"});
  require_that(options.objective != "lm" || options.reference.empty(), "reference",
               "the objective lm has no reference");
  require_that(
      options.compat == "none" || options.objective == "kto" || options.objective == "apo-zero-unpaired",
      "compat", "TRL has the objectives kto and apo-zero-unpaired only");
  require_that(options.balance == "none" || options.objective != "lm", "balance",
               "the objective lm has no weights");
  require_that(
      options.balance == "none" || (options.desirable_weight == 1 && options.undesirable_weight == 1),
      "balance", "auto chooses both weights; leave --desirable-weight and --undesirable-weight out");
  require_that(options.objective != "kto-edifice" || options.disable_dropout, "disable-dropout",
               "kto-edifice needs it: its two forwards must be the same function");
  require_that(options.beta > 0, "beta", "must be above 0");
  require_that(options.desirable_weight >= 0 && options.undesirable_weight >= 0, "desirable-weight",
               "weights must not be negative");
  require_that(options.learning_rate > 0, "learning-rate", "must be above 0");
  require_that(options.warmup_steps >= 0, "warmup-steps", "must not be negative");
  require_that(options.weight_decay >= 0, "weight-decay", "must not be negative");
  require_that(options.adam_beta1 >= 0 && options.adam_beta1 < 1, "adam-beta1", "must be in [0, 1)");
  require_that(options.adam_beta2 >= 0 && options.adam_beta2 < 1, "adam-beta2", "must be in [0, 1)");
  require_that(options.adam_epsilon > 0, "adam-epsilon", "must be above 0");
  require_that(options.max_grad_norm >= 0, "max-grad-norm", "must not be negative");
  require_that(options.max_skipped_steps >= 0, "max-skipped-steps", "must not be negative");
  // The upper bounds keep products of counts in 64 bits and the number of steps in 31.
  constexpr int64_t kMostRows = 1 << 20, kMost = std::numeric_limits<int32_t>::max();
  require_that(options.num_train_epochs > 0 && options.num_train_epochs <= 1e6, "num-train-epochs",
               "must be above 0, at most 1e6");
  require_that(options.max_steps == -1 || (options.max_steps > 0 && options.max_steps <= kMost), "max-steps",
               "must be above 0 and below 2^31, or -1");
  require_that(options.max_length >= 2, "max-length", "must be at least 2");
  require_that(options.per_device_train_batch_size > 0 && options.per_device_train_batch_size <= kMostRows,
               "per-device-train-batch-size", "must be above 0, at most 2^20");
  require_that(options.gradient_accumulation_steps > 0 && options.gradient_accumulation_steps <= kMostRows,
               "gradient-accumulation-steps", "must be above 0, at most 2^20");
  require_that(options.seed >= 0, "seed", "must not be negative");
  require_that(options.logging_steps > 0, "logging-steps", "must be above 0");
  require_that(options.eval_steps >= 0, "eval-steps", "must not be negative");
  require_that(options.save_steps >= 0, "save-steps", "must not be negative");
  require_that(options.save_total_limit > 0, "save-total-limit", "must be above 0");
  require_that(options.micro_batch_tokens > 0 && options.micro_batch_tokens <= kMost, "micro-batch-tokens",
               "must be above 0 and below 2^31");
  require_that(options.threads >= 0, "threads", "must not be negative");
  require_that(options.memory_gib >= 0 && options.memory_gib <= 1e6, "memory-gib",
               "must not be negative, at most 1e6");
}

}  // namespace prospect
