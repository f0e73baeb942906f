#include "kernels/head/head.h"

#include <algorithm>

#include "engine/ops.h"
#include "engine/ops/require.h"

namespace prospect {

namespace {

void require_if_given(std::string_view name, const Tensor& tensor, const Shape& shape, DType dtype) {
  if (tensor.defined()) require("head", name, tensor, shape, dtype);
}

void check_inputs(const Variable& hidden, const Variable& weight, const HeadInputs& inputs) {
  CHECK(hidden.shape().size() == 2 && weight.shape().size() == 2,
        "head: hidden must be [rows, columns] and weight [vocabulary, columns], got {} and {}",
        to_string(hidden.shape()), to_string(weight.shape()));
  const int64_t rows = hidden.value().size(0), columns = hidden.value().size(1);
  const DType dtype = hidden.value().dtype();
  require("head", "weight", weight.value(), {weight.value().size(0), columns}, dtype);
  require("head", "targets", inputs.targets, {rows}, DType::I32);
  const std::vector<int32_t>& bounds = inputs.host_offsets;
  CHECK(!bounds.empty() && bounds.front() == 0 && bounds.back() == rows &&
            std::is_sorted(bounds.begin(), bounds.end()),
        "head: host_offsets must rise from 0 to the {} rows of hidden", rows);
  const int64_t sequences = std::ssize(bounds) - 1;
  require("head", "offsets", inputs.offsets, {sequences + 1}, DType::I32);
  require_if_given("reference", inputs.reference, {rows}, compute_dtype(dtype));
  require_if_given("labels", inputs.labels, {sequences}, DType::I32);
  require_if_given("z0", inputs.z0, {sequences}, DType::F64);
  require_if_given("shares", inputs.shares, {sequences}, DType::F64);
  require_if_given("slopes", inputs.slopes, {sequences}, DType::F64);
}

HeadOutputs allocate_outputs(int64_t rows, int64_t sequences, DType dtype, const Device& device) {
  HeadOutputs outputs;
  outputs.loss = Variable(Tensor::empty({1}, DType::F64, device));
  outputs.log_probabilities = Tensor::empty({rows}, compute_dtype(dtype), device);
  for (Tensor* sums :
       {&outputs.log_ratios, &outputs.values, &outputs.slopes, &outputs.entropy_sums, &outputs.logit_sums}) {
    *sums = Tensor::empty({sequences}, DType::F64, device);
  }
  return outputs;
}

template <class T>
void run_kernel(const Tensor& hidden, const Tensor& weight, const HeadInputs& inputs,
                const HeadOutputs& outputs, const Tensor& dhidden, const GradTarget& dweight) {
  using C = compute_t<T>;
  const int64_t rows = hidden.size(0), vocabulary = weight.size(0);
  const auto scratch = hidden.device().allocate(
      kernels::cpu::head_scratch_bytes<T>(rows, hidden.size(1), vocabulary, inputs.chunk_bytes));
  kernels::cpu::head_forward<T>({.loss = outputs.loss.value().data<double>(),
                                 .log_probabilities = outputs.log_probabilities.data<C>(),
                                 .log_ratios = outputs.log_ratios.data<double>(),
                                 .values = outputs.values.data<double>(),
                                 .slopes = outputs.slopes.data<double>(),
                                 .entropy_sums = outputs.entropy_sums.data<double>(),
                                 .logit_sums = outputs.logit_sums.data<double>(),
                                 .dhidden = target_data<T>(dhidden),
                                 .dweight = target_data<T>(dweight.buffer),
                                 .dweight_mode = dweight.mode,
                                 .scratch = scratch.get(),
                                 .hidden = hidden.data<T>(),
                                 .weight = weight.data<T>(),
                                 .targets = inputs.targets.data<int32_t>(),
                                 .offsets = inputs.offsets.data<int32_t>(),
                                 .host_offsets = inputs.host_offsets.data(),
                                 .reference = target_data<C>(inputs.reference),
                                 .labels = target_data<int32_t>(inputs.labels),
                                 .z0 = target_data<double>(inputs.z0),
                                 .shares = target_data<double>(inputs.shares),
                                 .given_slopes = target_data<double>(inputs.slopes),
                                 .objective = inputs.objective,
                                 .rows = rows,
                                 .columns = hidden.size(1),
                                 .vocabulary = vocabulary,
                                 .sequences = std::ssize(inputs.host_offsets) - 1,
                                 .chunk_bytes = inputs.chunk_bytes});
}

}  // namespace

HeadOutputs head(const Variable& hidden, const Variable& weight, const HeadInputs& inputs) {
  check_inputs(hidden, weight, inputs);
  const DType dtype = hidden.value().dtype();
  const Device& device = hidden.value().device();
  HeadOutputs outputs =
      allocate_outputs(hidden.value().size(0), std::ssize(inputs.host_offsets) - 1, dtype, device);
  const bool need_dhidden = needs_grad({&hidden, 1});
  const Tensor dhidden = need_dhidden ? Tensor::empty(hidden.shape(), dtype, device) : Tensor();
  const GradTarget dweight = claim_gradient(weight);
  with_dtype(dtype, [&]<class T>() {
    run_kernel<T>(hidden.value(), weight.value(), inputs, outputs, dhidden, dweight);
  });
  // The weight's gradient is made already: it keeps its place in the order of backward, without a target.
  outputs.loss = record(outputs.loss.value(), {hidden},
                        [dhidden](const Tensor& seed, std::span<const GradTarget> targets) {
                          CHECK(seed.data<double>()[0] == 1,
                                "head: the loss must be the root of backward, with seed 1, got seed {}",
                                seed.data<double>()[0]);
                          deliver(dhidden, targets[0]);
                        },
                        {weight});
  return outputs;
}

}  // namespace prospect
