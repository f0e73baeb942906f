#include "train/resume.h"

#include "kernels/common/check.h"

namespace prospect {

namespace {

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

/// Before a run without a complete checkpoint starts again.
void require_nothing_to_lose(const TrainOptions& options, bool broken) {
  if (broken) {
    fail(ExitCode::BadData,
         "{}/checkpoints: none of them can be read, as was said; to start again from the first step, delete "
         "that folder",
         options.out);
  }
  const std::filesystem::path model = std::filesystem::path(options.out) / "model";
  if (std::filesystem::exists(model)) {
    fail(ExitCode::MissingInput, "--resume: the run has ended, without checkpoints; its model is {}",
         model.string());
  }
}

}  // namespace

std::optional<ResumePoint> point_to_resume(const TrainOptions& options, const Corpus& corpus,
                                           const FileSystem& system) {
  const std::filesystem::path folder = std::filesystem::path(options.out) / "checkpoints";
  clean_checkpoints(system, folder);
  bool broken = false;
  auto newest = latest_checkpoint(system, folder, [&](const std::string& why) {
    fmt::print(stderr, "{}\n", why);
    broken = true;
  });
  if (!newest) {
    require_nothing_to_lose(options, broken);
    return std::nullopt;
  }
  const std::string source = newest->state_path().string();
  RunState state = parse_run_state(newest->state(), source);
  if (state.step != newest->step()) {
    fail(ExitCode::BadData, "{} step: is {}, the manifest says {}", source, state.step, newest->step());
  }
  if (state.data_digest != corpus.digest) {
    fail(ExitCode::BadConfig, "{}: is not the file that this run was started with", options.data);
  }
  const TrainOptions& started = state.options;
  require_same_plan(options, started);
  if (options.dtype != started.dtype) {
    fail(ExitCode::BadConfig, "--dtype: the run was started with {}, which is what its checkpoints hold",
         started.dtype);
  }
  const int64_t steps = planned_steps(options, plan_of(options, corpus));
  if (newest->step() > steps) {
    fail(ExitCode::BadConfig, "--max-steps: the run has made {} steps already, more than {}", newest->step(),
         steps);
  }
  return ResumePoint{std::move(*newest), std::move(state)};
}

}  // namespace prospect
