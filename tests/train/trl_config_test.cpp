#include "train/trl_config.h"

#include <gtest/gtest.h>

#include <limits>

#include "kernels/common/check.h"
#include "tests/support/temporary_folder.h"

namespace prospect::test {
namespace {

std::string error_of(const std::string& json) {
  TrainOptions options;
  try {
    apply_trl_config(options, json, "kto.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::BadConfig);
    return error.what();
  }
  return "";
}

TrainOptions options_of(const std::string& json) {
  TrainOptions options;
  apply_trl_config(options, json, "kto.json");
  return options;
}

TEST(TrlConfig, TakesWhatMeansTheSame) {
  const TrainOptions options = options_of(R"({"beta": 0.25, "learning_rate": 2e-5, "max_steps": 7,
      "warmup_steps": 3.0, "disable_dropout": false, "lr_scheduler_type": "cosine"})");
  EXPECT_EQ(options.beta, 0.25);
  EXPECT_EQ(options.learning_rate, 2e-5);
  EXPECT_EQ(options.max_steps, 7);
  EXPECT_EQ(options.warmup_steps, 3);
  EXPECT_FALSE(options.disable_dropout);
  EXPECT_EQ(options.lr_scheduler_type, "cosine");
}

TEST(TrlConfig, TranslatesWhatIsCalledOtherwise) {
  const TrainOptions options = options_of(R"({"loss_type": "apo_zero_unpaired", "output_dir": "run",
      "bf16": true, "save_strategy": "no", "save_steps": 100, "activation_checkpointing": true})");
  EXPECT_EQ(options.objective, "apo-zero-unpaired");
  EXPECT_EQ(options.out, "run");
  EXPECT_EQ(options.dtype, "bf16");
  EXPECT_EQ(options.save_steps, 0);
  EXPECT_TRUE(options.gradient_checkpointing);
}

TEST(TrlConfig, ConstantHasNoWarmUpUnlessItsNameSaysSo) {
  EXPECT_EQ(options_of(R"({"lr_scheduler_type": "constant", "warmup_steps": 5})").warmup_steps, 0);
  const TrainOptions warm = options_of(R"({"lr_scheduler_type": "constant_with_warmup", "warmup_steps": 5})");
  EXPECT_EQ(warm.lr_scheduler_type, "constant");
  EXPECT_EQ(warm.warmup_steps, 5);
}

TEST(TrlConfig, NullIsNoLimitOrTheDefault) {
  const TrainOptions options = options_of(R"({"max_length": null, "save_total_limit": null,
      "eval_steps": null, "beta": null})");
  EXPECT_EQ(options.max_length, std::numeric_limits<int32_t>::max());
  EXPECT_EQ(options.save_total_limit, std::numeric_limits<int32_t>::max());
  EXPECT_EQ(options.eval_steps, 0);
  EXPECT_EQ(options.beta, 0.1);
}

TEST(TrlConfig, NamesKeysThatOnlyConcernPython) {
  TrainOptions options;
  const auto ignored = apply_trl_config(
      options, R"({"report_to": ["wandb"], "push_to_hub": true, "beta": 0.2, "dataloader_num_workers": 4})",
      "kto.json");
  EXPECT_EQ(ignored, (std::vector<std::string>{"dataloader_num_workers", "push_to_hub", "report_to"}));
}

TEST(TrlConfig, AcceptsEveryArgumentAtItsDefault) {
  TrainOptions options;
  const auto ignored = apply_trl_config(
      options, read_file(PROSPECT_SOURCE_DIR "/tests/golden/trl/kto_config.json"), "kto_config.json");
  EXPECT_GT(ignored.size(), 50u);
  // TRL's defaults are ours, but for what it sets to save memory or keep every checkpoint.
  TrainOptions expected;
  expected.out = "run";
  expected.gradient_checkpointing = true;
  expected.save_total_limit = std::numeric_limits<int32_t>::max();
  EXPECT_EQ(to_toml(options), to_toml(expected));
}

TEST(TrlConfig, RefusesWhatItDoesNotKnowOrCannotDo) {
  EXPECT_EQ(error_of(R"({"lernrate": 1})"),
            "kto.json lernrate: is no argument of KTOConfig that this program knows");
  EXPECT_EQ(error_of(R"({"beta": "large"})"), "kto.json beta: must be a number");
  EXPECT_EQ(error_of(R"({"warmup_steps": 0.1})"), "kto.json warmup_steps: must be a whole number");
  EXPECT_EQ(error_of(R"({"max_steps": 1e300})"), "kto.json max_steps: must be a whole number");
  EXPECT_EQ(error_of(R"({"loss_type": "bco"})"), "kto.json loss_type: must be kto or apo_zero_unpaired");
  EXPECT_EQ(error_of(R"({"optim": "adafactor"})"),
            "kto.json optim: must be \"adamw_torch\" or \"adamw_torch_fused\" here");
  EXPECT_EQ(error_of(R"({"sync_ref_model": true})"), "kto.json sync_ref_model: must be false here");
  EXPECT_EQ(error_of(R"({"train_sampling_strategy": "random"})"),
            "kto.json train_sampling_strategy: must be \"sequential\" here");
  EXPECT_EQ(error_of(R"({"save_strategy": "epoch"})"), "kto.json save_strategy: must be no or steps");
  EXPECT_EQ(error_of("{\"beta\": 0.1,\n \"seed\" 7}"), "kto.json:2: is not JSON");
  EXPECT_EQ(error_of(R"({"beta": 1e400})"), "kto.json beta: holds a number beyond the range of doubles");
  EXPECT_EQ(error_of(R"({"beta": 0.1, "fsdp_config": {"seed": [1, -1e400]}, "seed": 7})"),
            "kto.json fsdp_config: holds a number beyond the range of doubles");
  EXPECT_EQ(error_of("1e400"), "kto.json: holds a number beyond the range of doubles");
  EXPECT_EQ(error_of("[1]"), "kto.json:1: must be a JSON object of KTOConfig's arguments");
  EXPECT_EQ(error_of(""), "kto.json:1: is not JSON");
}

}  // namespace
}  // namespace prospect::test
