#pragma once

#include <string>

#include "engine/dtype.h"
#include "engine/file_system.h"
#include "train/batch_plan.h"
#include "train/options.h"

namespace prospect {

struct ScoreOptions {
  std::string model, data, out, reference;
  double beta = 0.1;
  int64_t max_length = 0;
  std::string dtype = "f32";
  int64_t micro_batch_tokens = kMicroBatchTokens;
  int64_t threads = 0;
};

struct GenerateOptions {
  std::string model, prompt, data, out;
  int64_t max_new_tokens = 64;
  double temperature = 1;
  int64_t top_k = 0;
  double top_p = 1;
  int64_t seed = 0;
  int64_t batch_size = 64;
  std::string dtype = "f32";
  int64_t threads = 0;
};

struct InspectOptions {
  std::string model, data;
  int64_t max_length = 1024;
  int64_t micro_batch_tokens = kMicroBatchTokens;
  bool gradient_checkpointing = false;
  std::string dtype = "f32";
};

struct ConvertOptions {
  std::string model, out;
};

/// The commands of the program, one function each. They write results to standard output or to the files that
/// their options name, through `system`. Throws: Error with the exit code of the process.
void run_train(TrainOptions options, const FileSystem& system);
void run_score(const ScoreOptions& options, const FileSystem& system);
void run_generate(const GenerateOptions& options, const FileSystem& system);
void run_inspect(const InspectOptions& options);
void run_convert(const ConvertOptions& options, const FileSystem& system);

/// "f32", "bf16" or "f64". Throws: Error(BadConfig).
DType parse_dtype(const std::string& name);
/// Uses `threads` CPU threads from here on; 0: as many as the machine has. Throws: Error(BadConfig).
void use_threads(int64_t threads);

}  // namespace prospect
