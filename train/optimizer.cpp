#include "train/optimizer.h"

#include <utility>

#include "kernels/adamw/adamw.h"
#include "kernels/grad_norm/grad_norm.h"

namespace prospect {

namespace {

bool is_decayed(ParameterKind kind, DecayScope scope) {
  return scope == DecayScope::All || kind == ParameterKind::Matrix || kind == ParameterKind::Embedding;
}

/// Neighbours of the same decay share a range; the gap behind a parameter goes with it.
std::vector<Optimizer::Range> decay_ranges(const Parameters& parameters, const OptimizerOptions& options) {
  std::vector<Optimizer::Range> ranges;
  const auto& specs = parameters.specs();
  for (size_t i = 0; i < specs.size(); ++i) {
    const int64_t begin = parameters.range(i).begin;
    const int64_t end = i + 1 < specs.size() ? parameters.range(i + 1).begin : parameters.values().count();
    const double decay = is_decayed(specs[i].kind, options.decay_scope) ? options.weight_decay : 0;
    if (!ranges.empty() && ranges.back().weight_decay == decay) {
      ranges.back().end = end;
    } else {
      ranges.push_back({begin, end, decay});
    }
  }
  return ranges;
}

}  // namespace

Optimizer::Optimizer(const Parameters& parameters, const OptimizerOptions& options)
    : parameters_(parameters), options_(options), ranges_(decay_ranges(parameters, options)) {
  const Tensor& values = parameters.values();
  CHECK(parameters.gradients().defined(), "optimizer: the parameters have no gradients");
  CHECK(options.epsilon > 0, "optimizer: epsilon must be positive, got {}", options.epsilon);
  const Device& device = values.device();
  const DType dtype = compute_dtype(values.dtype());
  first_moment_ = Tensor::zeros(values.shape(), dtype, device);
  second_moment_ = Tensor::zeros(values.shape(), dtype, device);
  if (values.dtype() == DType::BF16) master_ = convert(values, dtype);
  steps_ = Tensor::zeros({1}, DType::I32, device);
  norm_ = Tensor::zeros({1}, DType::F64, device);
  clip_factor_ = Tensor::zeros({1}, DType::F64, device);
  finite_ = Tensor::from(std::vector<int32_t>{1}, device);
  const int64_t scratch_bytes = kernels::cpu::grad_norm_scratch_bytes(values.count());
  scratch_ = Tensor::empty({scratch_bytes / dtype_bytes(DType::F64) + 1}, DType::F64, device);
}

Optimizer::StepResult Optimizer::step(double learning_rate, double max_grad_norm) {
  parameters_.complete_gradients();
  const int64_t next = steps() + 1;
  with_dtype(parameters_.values().dtype(), [&]<class T>() {
    using C = compute_t<T>;
    const T* gradient = parameters_.gradients().data<T>();
    kernels::cpu::grad_norm(kernels::GradNorm<T>{.norm = norm_.data<double>(),
                                                 .finite = finite_.data<int32_t>(),
                                                 .clip_factor = clip_factor_.data<double>(),
                                                 .scratch = scratch_.data<double>(),
                                                 .gradient = gradient,
                                                 .begin = 0,
                                                 .end = parameters_.values().count(),
                                                 .max_norm = max_grad_norm});
    for (const Range& range : ranges_) {
      kernels::cpu::adamw(kernels::AdamW<T>{.parameter = parameters_.values().data<T>(),
                                            .master = master_.defined() ? master_.data<C>() : nullptr,
                                            .first_moment = first_moment_.data<C>(),
                                            .second_moment = second_moment_.data<C>(),
                                            .gradient = gradient,
                                            .begin = range.begin,
                                            .end = range.end,
                                            .learning_rate = learning_rate,
                                            .beta1 = options_.beta1,
                                            .beta2 = options_.beta2,
                                            .epsilon = options_.epsilon,
                                            .weight_decay = range.weight_decay,
                                            .step = next,
                                            .clip_factor = clip_factor_.data<double>(),
                                            .finite = finite_.data<int32_t>()});
    }
  });
  // The flag stands at 1 between steps: kernels only clear it.
  const bool finite = std::exchange(finite_.data<int32_t>()[0], 1) != 0;
  if (finite) steps_.data<int32_t>()[0] = static_cast<int32_t>(next);
  return {norm_.data<double>()[0], finite};
}

int64_t Optimizer::steps() const {
  return steps_.data<int32_t>()[0];
}

std::vector<NamedTensor> Optimizer::state() const {
  std::vector<NamedTensor> tensors{{"optimizer.first_moment", first_moment_},
                                   {"optimizer.second_moment", second_moment_},
                                   {"optimizer.steps", steps_}};
  if (master_.defined()) tensors.push_back({"optimizer.master", master_});
  return tensors;
}

}  // namespace prospect
