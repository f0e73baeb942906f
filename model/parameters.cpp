#include "model/parameters.h"

namespace prospect {

namespace {
constexpr int64_t kAlignmentBytes = 64;
}

Parameters::Parameters(std::vector<ParameterSpec> specs, DType dtype, const Device& device,
                       bool with_gradients)
    : specs_(std::move(specs)) {
  const int64_t alignment = kAlignmentBytes / dtype_bytes(dtype);
  int64_t end = 0;
  for (const ParameterSpec& spec : specs_) {
    const int64_t count = element_count(spec.shape);
    ranges_.push_back({end, end + count});
    end += (count + alignment - 1) / alignment * alignment;
  }
  values_ = Tensor::zeros({end}, dtype, device);
  if (with_gradients) gradients_ = Tensor::zeros({end}, dtype, device);
  for (size_t i = 0; i < specs_.size(); ++i) {
    const Tensor value = values_.rows(ranges_[i].begin, ranges_[i].end).view(specs_[i].shape);
    if (with_gradients) {
      const Tensor gradient = gradients_.rows(ranges_[i].begin, ranges_[i].end).view(specs_[i].shape);
      variables_.push_back(Variable::parameter(value, gradient));
    } else {
      variables_.emplace_back(value);
    }
    index_[specs_[i].name] = i;
  }
}

const Variable& Parameters::operator[](const std::string& name) const {
  const auto found = index_.find(name);
  CHECK(found != index_.end(), "parameters: there is no {}", name);
  return variables_[found->second];
}

int64_t Parameters::count() const {
  int64_t count = 0;
  for (const ParameterSpec& spec : specs_) count += element_count(spec.shape);
  return count;
}

Tensor Parameters::part(size_t index, size_t part) const {
  const ParameterSpec& spec = specs_[index];
  int64_t row = 0;
  for (size_t i = 0; i < part; ++i) row += spec.parts[i].shape[0];
  return variables_[index].value().rows(row, row + spec.parts[part].shape[0]);
}

void Parameters::zero_gradients() const {
  for (const Variable& variable : variables_) variable.zero_grad();
}

void Parameters::complete_gradients() const {
  for (const Variable& variable : variables_) {
    if (!variable.needs_grad() || variable.node()->filled) continue;
    variable.node()->grad.fill_zero();
    variable.node()->filled = true;
  }
}

}  // namespace prospect
