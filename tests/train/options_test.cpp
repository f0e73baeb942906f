#include "train/options.h"

#include <gtest/gtest.h>

#include <limits>

#include "kernels/common/check.h"
#include "tests/support/errors.h"

namespace prospect::test {
namespace {

std::string error_of(const std::string& toml) {
  TrainOptions options;
  try {
    apply_toml(options, toml, "run.toml");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::BadConfig);
    return error.what();
  }
  return "";
}

TEST(Options, SurviveTheRoundTripThroughToml) {
  TrainOptions options;
  options.model = "a \"quoted\" folder\\name";
  options.learning_rate = 1.0 / 3;
  options.max_steps = 7;
  options.disable_dropout = false;
  TrainOptions read;
  apply_toml(read, to_toml(options), "run.toml");
  EXPECT_EQ(to_toml(read), to_toml(options));
  EXPECT_EQ(read.learning_rate, options.learning_rate);
  EXPECT_EQ(read.model, options.model);
}

TEST(Options, WholeNumbersServeAsNumbers) {
  TrainOptions options;
  apply_toml(options, "beta = 1", "run.toml");
  EXPECT_EQ(options.beta, 1.0);
}

TEST(Options, ErrorsNameLineKeyAndReason) {
  EXPECT_EQ(error_of("beta = 0.1\nlearning_rate = \"fast\""), "run.toml:2 learning_rate: must be a number");
  EXPECT_EQ(error_of("seed = 1.5"), "run.toml:1 seed: must be a whole number");
  EXPECT_EQ(error_of("\n\nlernrate = 1"), "run.toml:3 lernrate: is no option of `prospect train`");
  EXPECT_TRUE(error_of("beta = = 1").starts_with("run.toml:1"));
}

TEST(Options, PathsThatAreNoTextAreRefused) {
  TrainOptions options;
  options.model = options.data = "x";
  options.out = "caf\xe9";  // Latin-1
  const auto check = [&] { check_options(options); };
  EXPECT_TRUE(fails(ExitCode::BadConfig, "--out: its path is not valid UTF-8", check));
  options.out = "caf\xc3\xa9";
  EXPECT_NO_THROW(check_options(options));
  options.eval_data = "\xff";
  EXPECT_TRUE(fails(ExitCode::BadConfig, "--eval-data: its path", check));
}

TEST(Options, ImpossibleValuesAreRefused) {
  TrainOptions good;
  good.model = good.data = good.out = "x";
  EXPECT_NO_THROW(check_options(good));
  TrainOptions bad = good;
  bad.beta = 0;
  EXPECT_THROW(check_options(bad), Error);
  for (const auto count :
       {&TrainOptions::per_device_train_batch_size, &TrainOptions::gradient_accumulation_steps,
        &TrainOptions::micro_batch_tokens, &TrainOptions::max_steps}) {
    bad = good;
    bad.*count = std::numeric_limits<int64_t>::max();
    EXPECT_THROW(check_options(bad), Error);
  }
  for (const auto amount : {&TrainOptions::num_train_epochs, &TrainOptions::memory_gib}) {
    bad = good;
    bad.*amount = 1e300;
    EXPECT_THROW(check_options(bad), Error);
  }
  bad = good;
  bad.objective = "dpo";
  try {
    check_options(bad);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "--objective: dpo is not one of apo-zero-unpaired, kto, kto-edifice, kto-zero, lm");
  }
}

TEST(Options, SurviveTheRoundTripWithControlCharacters) {
  TrainOptions options;
  options.model = "\x01\t\n\x1f\x7f";
  TrainOptions read;
  apply_toml(read, to_toml(options), "run.toml");
  EXPECT_EQ(read.model, options.model);
}

TEST(Options, RefusesKeysOfAHundredThousandDots) {
  std::string keys = "a";
  for (int i = 0; i < 100'000; ++i) keys += ".a";
  EXPECT_EQ(error_of(keys + " = 1"), "run.toml: has more than 1000 dots, which no list of options has");
  EXPECT_NE(error_of("[" + keys + "]"), "");
  const std::string few = keys.substr(0, 1000);
  EXPECT_NE(error_of("[" + few + "]\n" + few + " = 1"), "");
}

}  // namespace
}  // namespace prospect::test
