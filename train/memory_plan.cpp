#include "train/memory_plan.h"

#include <algorithm>

#include "model/layout.h"
#include "train/scoring.h"

namespace prospect {

namespace {

/// Values that backward needs of one token in one block: inputs of norms, projections, attention and MLP.
int64_t kept_values_per_token(const ModelConfig& config) {
  const int64_t c = config.hidden_size, f = config.intermediate_size;
  const int64_t row = config.head_layout().columns() * (config.qk_norm ? 2 : 1);
  const int64_t attention = row + config.heads * config.head_dim + config.heads;
  const int64_t mlp = config.mlp == MlpKind::SwiGlu ? 3 * f : 2 * f;
  return 4 * c + attention + mlp;
}

}  // namespace

int64_t sum_of(const MemoryPlan::Parts& parts) {
  int64_t sum = 0;
  for (const auto& [name, bytes] : parts) sum += bytes;
  return sum;
}

int64_t parameter_count(const ModelConfig& config) {
  int64_t count = 0;
  for (const ParameterSpec& spec : parameter_layout(config)) count += element_count(spec.shape);
  return count;
}

int64_t MemoryPlan::most() const {
  return std::max(sum_of(training), sum_of(reference));
}

MemoryPlan plan_memory(const ModelConfig& config, const MemoryPlanOptions& options) {
  const int64_t element = dtype_bytes(options.dtype), state = dtype_bytes(compute_dtype(options.dtype));
  const int64_t n = parameter_count(config);
  const bool master = options.dtype == DType::BF16;
  MemoryPlan plan{.training = {{"weights", n * element}, {"gradients", n * element}}, .reference = {}};
  if (options.reference) {
    plan.reference = plan.training;
    const ModelConfig& reference = options.own_reference ? *options.own_reference : config;
    if (options.own_reference) {
      plan.reference.emplace_back("reference weights", parameter_count(reference) * element);
    }
    const int64_t block = options.micro_batch_tokens * kept_values_per_token(reference) * element;
    plan.reference.emplace_back("a block's activations", block);
    plan.reference.emplace_back("a chunk of logits", HeadInputs{}.chunk_bytes);
  }
  plan.training.emplace_back("AdamW moments", 2 * n * state);
  if (master) plan.training.emplace_back("fp32 master weights", n * state);
  const int64_t block = kept_values_per_token(config) * element;
  const int64_t per_token = options.gradient_checkpointing
                                ? config.layers * config.hidden_size * element + block
                                : config.layers * block;
  plan.training.emplace_back("activations of a micro-batch", options.micro_batch_tokens * per_token);
  plan.training.emplace_back("a chunk of logits", HeadInputs{}.chunk_bytes);
  return plan;
}

}  // namespace prospect
