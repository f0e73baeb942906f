#include <fmt/core.h>
#include <omp.h>

#include "engine/files.h"
#include "train/balance.h"
#include "train/commands.h"
#include "train/memory_plan.h"
#include "train/progress.h"
#include "train/resume.h"
#include "train/trainer.h"

namespace prospect {

namespace {

namespace fs = std::filesystem;

/// A folder that holds a run already is refused: two runs in one folder would mix their checkpoints.
void require_fresh_run(const TrainOptions& options) {
  const fs::path out = options.out;
  if (options.resume) return;
  if (fs::exists(out / "checkpoints")) {
    fail(ExitCode::BadConfig,
         "--out: {} holds a run already; say --resume to go on with it, or choose another folder",
         options.out);
  }
  if (fs::exists(out / "metrics.jsonl")) {
    fail(ExitCode::BadConfig,
         "--out: {} holds what is left of a run that ended before its first checkpoint; delete it, or choose "
         "another folder",
         options.out);
  }
}

/// Before the weights are read: a model that cannot be trained here is refused at once.
void require_memory(const TrainOptions& options) {
  if (options.memory_gib == 0) return;
  const ModelConfig config = load_config(options.model);
  std::optional<ModelConfig> reference;
  if (!options.reference.empty()) reference = load_config(options.reference);
  const MemoryPlan plan = plan_memory(config, {.dtype = parse_dtype(options.dtype),
                                               .micro_batch_tokens = options.micro_batch_tokens,
                                               .gradient_checkpointing = options.gradient_checkpointing,
                                               .reference = options.objective != "lm",
                                               .own_reference = reference ? &*reference : nullptr});
  const double needed = static_cast<double>(plan.most()) / (1 << 30);
  if (needed > options.memory_gib) {
    fail(ExitCode::BadConfig,
         "--memory-gib: the run needs about {:.2f} GiB, more than {:.2f}; lower "
         "--micro-batch-tokens, or add --gradient-checkpointing",
         needed, options.memory_gib);
  }
}

void print_start(const TrainOptions& options, const RunInputs& inputs) {
  const Examples& examples = inputs.corpus.examples;
  fmt::print("{}: {} rows ({} desirable, {} undesirable)", options.data, examples.list.size(),
             examples.desirable(), examples.undesirable());
  if (examples.dropped > 0) fmt::print(", {} dropped: the prompt alone fills --max-length", examples.dropped);
  if (examples.truncated > 0) fmt::print(", {} cut to --max-length", examples.truncated);
  fmt::print("\n{}: {:.1f} M parameters, {} on {} threads\n", options.model,
             static_cast<double>(inputs.policy.parameters.count()) / 1e6, options.dtype,
             omp_get_max_threads());
}

/// From here on the run has weights like any other: its config.toml holds them, a resumed run keeps them.
void set_balanced_weights(TrainOptions& options, const Examples& examples) {
  const LabelWeights weights = balanced_weights(examples);
  options.desirable_weight = weights.desirable;
  options.undesirable_weight = weights.undesirable;
  options.balance = "none";
  fmt::print("weights balanced over the rows kept: desirable {:.4g}, undesirable {:.4g}\n", weights.desirable,
             weights.undesirable);
}

/// So that the run resumes from any folder.
void make_paths_absolute(TrainOptions& options) {
  const auto make_absolute = [](std::string& path) {
    if (!path.empty()) path = fs::absolute(path).string();
  };
  for (std::string* path :
       {&options.model, &options.data, &options.out, &options.eval_data, &options.reference}) {
    make_absolute(*path);
  }
  const std::string& cache = options.reference_cache;
  if (cache != "auto" && cache != "none") make_absolute(options.reference_cache);
}

void warn_of_imbalance(const TrainOptions& options, const Examples& examples) {
  if (options.objective == "lm") return;
  const std::string warning =
      balance_warning(examples, {options.desirable_weight, options.undesirable_weight});
  if (!warning.empty()) print_warning(warning);
}

}  // namespace

DType parse_dtype(const std::string& name) {
  for (const DType dtype : {DType::F32, DType::BF16, DType::F64}) {
    if (name == dtype_name(dtype)) return dtype;
  }
  fail(ExitCode::BadConfig, "--dtype: {} is not one of f32, bf16, f64", name);
}

void use_threads(int64_t threads) {
  // The OpenMP runtime ends the process where it cannot start as many as it is told.
  constexpr int64_t kMostThreads = 1024;
  if (threads < 0 || threads > kMostThreads) {
    fail(ExitCode::BadConfig, "--threads: must be 0 to {}, got {}", kMostThreads, threads);
  }
  if (threads > 0) omp_set_num_threads(static_cast<int>(threads));
}

void run_train(TrainOptions options, const FileSystem& system) {
  check_options(options);
  require_fresh_run(options);
  use_threads(options.threads);
  const auto budget = static_cast<int64_t>(options.memory_gib * (1 << 30));
  const Device device = Device::cpu({.memory_budget_bytes = budget});
  require_memory(options);
  RunInputs inputs = load_inputs(options, device);
  print_start(options, inputs);
  if (options.balance == "auto") set_balanced_weights(options, inputs.corpus.examples);
  std::optional<ResumePoint> point;
  if (options.resume) {
    point = point_to_resume(options, inputs.corpus, system);
    if (!point) fmt::print("{}: no checkpoint yet, so the run starts from its first step\n", options.out);
  }
  std::optional<Reference> reference;
  if (options.objective != "lm") {
    reference.emplace(options, inputs, point ? point->state.step : 0, system);
  }
  require_writable_folder(system, options.out);
  if (reference) reference->complete();
  options.resume = false;  // how a run came here leaves no trace in its checkpoints
  Trainer trainer(options, inputs, reference ? &*reference : nullptr, system);
  if (point) trainer.resume(*point);
  make_paths_absolute(options);
  write_atomically(system, fs::path(options.out) / "config.toml", to_toml(options));
  warn_of_imbalance(options, inputs.corpus.examples);
  trainer.run();
  fmt::print("peak memory {:.2f} GiB\n", static_cast<double>(device.memory_use().peak_bytes) / (1 << 30));
}

}  // namespace prospect
