#include "train/edifice.h"

#include <numeric>
#include <vector>

#include "engine/ops/require.h"
#include "kernels/kto/kto.h"
#include "kernels/log_softmax_gather/log_softmax_gather.h"
#include "model/initialise.h"
#include "model/transformer.h"

namespace prospect::edifice {

namespace {

/// Calls body.operator()<T>() for the two types in which logits and log-probabilities are held.
template <class Body>
void with_compute_dtype(std::string_view op, DType dtype, const Body& body) {
  CHECK(dtype == compute_dtype(dtype), "{}: expected f32 or f64, got {}", op, dtype_name(dtype));
  if (dtype == DType::F64) {
    body.template operator()<double>();
  } else {
    body.template operator()<float>();
  }
}

/// Targets where they count, 0 elsewhere.
std::vector<int32_t> effective_targets(const Tensor& targets, const Tensor& mask) {
  const auto all = targets.values<int32_t>();
  std::vector<int32_t> effective(all.begin(), all.end());
  for (int64_t i = 0; mask.defined() && i < mask.count(); ++i) {
    if (mask.data<int32_t>()[i] == 0) effective[i] = 0;
  }
  return effective;
}

/// The sum over each sequence of what the mask keeps.
template <class T>
void sum_positions(const Tensor& sums, const Tensor& rows, const Tensor& mask) {
  const int64_t positions = rows.count() / std::max<int64_t>(1, sums.count());
  for (int64_t b = 0; b < sums.count(); ++b) {
    double sum = 0;
    for (int64_t i = b * positions; i < (b + 1) * positions; ++i) {
      if (!mask.defined() || mask.data<int32_t>()[i] != 0) sum += rows.data<T>()[i];
    }
    sums.data<T>()[b] = static_cast<T>(sum);
  }
}

template <class T>
Tensor logits_gradient(const Tensor& logits, const Tensor& log_sum_exp, const Tensor& targets,
                       const Tensor& mask, const Tensor& grad_output) {
  const int64_t rows = targets.count(), positions = targets.size(1);
  std::vector<T> row_slopes(static_cast<size_t>(rows));
  for (int64_t i = 0; i < rows; ++i) {
    const bool counts = !mask.defined() || mask.data<int32_t>()[i] != 0;
    row_slopes[i] = counts ? grad_output.data<T>()[i / positions] : T{0};
  }
  const Tensor gradient = Tensor::empty(logits.shape(), logits.dtype(), logits.device());
  kernels::cpu::log_softmax_gather_backward<T>({.gradient = gradient.data<T>(),
                                                .logits = logits.data<T>(),
                                                .log_sum_exp = log_sum_exp.data<T>(),
                                                .row_slopes = row_slopes.data(),
                                                .targets = effective_targets(targets, mask).data(),
                                                .rows = rows,
                                                .columns = logits.size(2),
                                                .stride = logits.size(2)});
  return gradient;
}

struct BatchTerms {
  std::vector<double> log_ratios, values, slopes;
  explicit BatchTerms(size_t count) : log_ratios(count), values(count), slopes(count) {}
};

/// The objective of every sequence, as if each were one token long.
BatchTerms objective_terms(const Tensor& policy, const Tensor& reference, const Tensor& labels,
                           const Objective& objective, double z0) {
  const int64_t count = policy.count();
  std::vector<int32_t> offsets(static_cast<size_t>(count) + 1);
  std::iota(offsets.begin(), offsets.end(), 0);
  const std::vector<double> same_z0(static_cast<size_t>(count), z0);
  BatchTerms terms(static_cast<size_t>(count));
  with_compute_dtype("kto_loss", policy.dtype(), [&]<class T>() {
    kernels::cpu::kto_forward<T>({.log_ratios = terms.log_ratios.data(),
                                  .values = terms.values.data(),
                                  .slopes = terms.slopes.data(),
                                  .entropy_sums = nullptr,
                                  .logit_sums = nullptr,
                                  .log_probabilities = policy.data<T>(),
                                  .reference = reference.data<T>(),
                                  .entropies = nullptr,
                                  .logit_means = nullptr,
                                  .offsets = offsets.data(),
                                  .labels = labels.data<int32_t>(),
                                  .z0 = same_z0.data(),
                                  .given_slopes = nullptr,
                                  .objective = objective,
                                  .sequences = count});
  });
  return terms;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// The other shape of the same values, as a step of the graph.
Variable reshape(const Variable& x, const Shape& shape) {
  return record(x.value().view(shape), {x}, [](const Tensor& grad, std::span<const GradTarget> targets) {
    if (targets[0].mode != GradMode::Ignore) deliver(grad.view(targets[0].buffer.shape()), targets[0]);
  });
}

PackedTokens pack(const Tensor& tokens) {
  const int64_t batch = tokens.size(0), length = tokens.size(1);
  std::vector<int32_t> positions, examples, bounds;
  for (int64_t b = 0; b < batch; ++b) {
    const auto begin = static_cast<int32_t>(b * length), end = static_cast<int32_t>((b + 1) * length);
    bounds.insert(bounds.end(), {begin, end, begin, end});
    for (int64_t t = 0; t < length; ++t) {
      positions.push_back(static_cast<int32_t>(t));
      examples.push_back(static_cast<int32_t>(b));
    }
  }
  const Device& device = tokens.device();
  return {.ids = tokens.view({batch * length}),
          .positions = Tensor::from(positions, device),
          .bounds = Tensor::from(bounds, {batch, 4}, device),
          .examples = Tensor::from(examples, device)};
}

}  // namespace

Model build(const BuildOptions& options, uint64_t seed) {
  for (const int64_t size : {options.hidden_size, options.num_layers, options.num_heads, options.vocab_size,
                             options.max_seq_len}) {
    if (size <= 0) fail(ExitCode::BadConfig, "build: sizes must be positive, got {}", size);
  }
  const int64_t head_dim = options.hidden_size / options.num_heads;
  if (options.hidden_size % options.num_heads != 0 || head_dim % 8 != 0 || head_dim > 256) {
    fail(ExitCode::BadConfig, "build: {} heads must split a hidden size of {} into multiples of 8 up to 256",
         options.num_heads, options.hidden_size);
  }
  if (!(options.dropout >= 0 && options.dropout < 1)) {
    fail(ExitCode::BadConfig, "build: dropout must be in [0, 1), got {}", options.dropout);
  }
  ModelConfig config;
  config.vocab_size = options.vocab_size;
  config.hidden_size = options.hidden_size;
  config.layers = options.num_layers;
  config.heads = config.kv_heads = options.num_heads;
  config.head_dim = head_dim;
  config.intermediate_size = 4 * options.hidden_size;
  config.max_positions = options.max_seq_len;
  config.embedding_dropout = config.residual_dropout = options.dropout;
  return random_model(config, seed, {.dtype = DType::F32, .trainable = true}, Device::cpu());
}

Variable logits(const Model& model, const Tensor& tokens) {
  CHECK(tokens.shape().size() == 2 && tokens.dtype() == DType::I32,
        "logits: tokens must be [batch, positions] i32, got {} {}", to_string(tokens.shape()),
        dtype_name(tokens.dtype()));
  const Transformer transformer(model);
  const Variable rows = matmul(transformer.hidden(pack(tokens)), transformer.head_weight());
  return reshape(rows, {tokens.size(0), tokens.size(1), model.config.vocab_size});
}

Variable compute_logprobs(const Variable& logits, const Tensor& targets, const Tensor& mask) {
  const Tensor& x = logits.value();
  CHECK(x.shape().size() == 3, "compute_logprobs: logits must be [batch, positions, vocabulary], got {}",
        to_string(x.shape()));
  require("compute_logprobs", "targets", targets, {x.size(0), x.size(1)}, DType::I32);
  if (mask.defined()) require("compute_logprobs", "mask", mask, targets.shape(), DType::I32);
  const auto row_tensor = [&] { return Tensor::empty({targets.count()}, x.dtype(), x.device()); };
  const Tensor rows = row_tensor(), log_sum_exp = row_tensor(), entropies = row_tensor(),
               means = row_tensor();
  const Tensor sums = Tensor::empty({x.size(0)}, x.dtype(), x.device());
  with_compute_dtype("compute_logprobs", x.dtype(), [&]<class T>() {
    kernels::cpu::log_softmax_gather_forward<T>({.log_probabilities = rows.data<T>(),
                                                 .log_sum_exp = log_sum_exp.data<T>(),
                                                 .entropies = entropies.data<T>(),
                                                 .logit_means = means.data<T>(),
                                                 .logits = x.data<T>(),
                                                 .targets = effective_targets(targets, mask).data(),
                                                 .rows = targets.count(),
                                                 .columns = x.size(2),
                                                 .stride = x.size(2)});
    sum_positions<T>(sums, rows, mask);
  });
  return record(sums, {logits},
                [x, log_sum_exp, targets, mask](const Tensor& grad_output, std::span<const GradTarget> out) {
                  with_compute_dtype("compute_logprobs", x.dtype(), [&]<class T>() {
                    deliver(logits_gradient<T>(x, log_sum_exp, targets, mask, grad_output), out[0]);
                  });
                });
}

Variable kto_loss(const Variable& policy_logprobs, const Tensor& reference_logprobs, const Tensor& labels,
                  const LossOptions& options) {
  const Tensor& policy = policy_logprobs.value();
  CHECK(policy.shape().size() == 1 && policy.count() > 0,
        "kto_loss: log-probabilities must be [batch], not empty, got {}", to_string(policy.shape()));
  require("kto_loss", "reference", reference_logprobs, policy.shape(), policy.dtype());
  require("kto_loss", "labels", labels, policy.shape(), DType::I32);
  const Objective objective{.kind = ObjectiveKind::KtoEdifice,
                            .beta = options.beta,
                            .desirable_weight = options.desirable_weight,
                            .undesirable_weight = options.undesirable_weight};
  const double z0 = mean(objective_terms(policy, reference_logprobs, labels, objective, 0).log_ratios);
  BatchTerms terms = objective_terms(policy, reference_logprobs, labels, objective, z0);
  couple_slopes(terms.slopes.data(), policy.count());
  const Tensor loss = Tensor::from(std::vector<double>{mean(terms.values)}, policy.device());
  return record(loss, {policy_logprobs},
                [slopes = Tensor::from(terms.slopes, policy.device()), dtype = policy.dtype()](
                    const Tensor& seed, std::span<const GradTarget> targets) {
                  const Tensor gradient = slopes.clone();
                  const double factor = seed.data<double>()[0] / static_cast<double>(slopes.count());
                  for (double& value : gradient.values<double>()) value *= factor;
                  deliver(convert(gradient, dtype), targets[0]);
                });
}

}  // namespace prospect::edifice
