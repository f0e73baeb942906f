#pragma once

#include <string>
#include <utility>
#include <vector>

#include "model/config.h"
#include "train/batch_plan.h"

namespace prospect {

struct MemoryPlanOptions {
  DType dtype = DType::F32;
  int64_t micro_batch_tokens = kMicroBatchTokens;
  bool gradient_checkpointing = false;
  bool reference = true;                       ///< whether the objective has one
  const ModelConfig* own_reference = nullptr;  ///< a reference that is another model than the policy
};

/// Weights of a model, tied ones once.
int64_t parameter_count(const ModelConfig& config);

/// What a training run will hold, in bytes, by name; an estimate from shapes, before anything is allocated.
struct MemoryPlan {
  using Parts = std::vector<std::pair<std::string, int64_t>>;
  Parts training;
  Parts reference;  ///< before training begins, while the reference's log-probabilities are computed
  /// The larger of the two sums.
  int64_t most() const;
};
int64_t sum_of(const MemoryPlan::Parts& parts);
MemoryPlan plan_memory(const ModelConfig& config, const MemoryPlanOptions& options);

}  // namespace prospect
