#pragma once

#include <string>
#include <utility>
#include <vector>

#include "model/config.h"

namespace prospect {

struct MemoryPlanOptions {
  DType dtype = DType::F32;
  int64_t micro_batch_tokens = 1024;
  bool gradient_checkpointing = false;
  bool reference = true;
};

/// Weights of a model, tied ones once.
int64_t parameter_count(const ModelConfig& config);

/// What a training run will hold, in bytes, by name; an estimate from shapes, before anything is allocated.
struct MemoryPlan {
  std::vector<std::pair<std::string, int64_t>> parts;
  int64_t total() const;
};
MemoryPlan plan_memory(const ModelConfig& config, const MemoryPlanOptions& options);

}  // namespace prospect
