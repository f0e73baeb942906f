#include "tests/support/gradient_check.h"

#include <gtest/gtest.h>

#include "tests/support/random.h"

namespace prospect::test {

namespace {

double weighted_sum(const Function& fn, const std::vector<Variable>& inputs, const Tensor& weights) {
  const NoGrad off;
  const Tensor y = fn(inputs).value();
  double sum = 0;
  for (int64_t i = 0; i < y.count(); ++i) sum += y.data<double>()[i] * weights.data<double>()[i];
  return sum;
}

}  // namespace

void check_gradients(const Function& fn, const std::vector<Tensor>& tensors, double tolerance) {
  std::vector<Variable> inputs;
  for (const Tensor& tensor : tensors) inputs.push_back(Variable::parameter(tensor.clone()));
  const Variable y = fn(inputs);
  const Tensor weights = normal_tensor(y.shape(), DType::F64, 99);
  backward(y, weights);
  constexpr double step = 1e-5;
  for (size_t which = 0; which < inputs.size(); ++which) {
    const Tensor grad = inputs[which].grad();
    ASSERT_TRUE(grad.defined()) << "input " << which << " received no gradient";
    double* x = inputs[which].value().data<double>();
    for (int64_t i = 0; i < grad.count(); ++i) {
      const double kept = x[i];
      x[i] = kept + step;
      const double above = weighted_sum(fn, inputs, weights);
      x[i] = kept - step;
      const double below = weighted_sum(fn, inputs, weights);
      x[i] = kept;
      const double expected = (above - below) / (2 * step), actual = grad.data<double>()[i];
      ASSERT_NEAR(actual, expected, tolerance * std::max(1.0, std::fabs(expected)))
          << "input " << which << ", element " << i;
    }
  }
  std::vector<std::vector<double>> once;
  for (const Variable& input : inputs) once.push_back(to_doubles(input.grad()));
  backward(fn(inputs), weights);
  for (size_t which = 0; which < inputs.size(); ++which) {
    const auto twice = to_doubles(inputs[which].grad());
    for (size_t i = 0; i < twice.size(); ++i) {
      ASSERT_NEAR(twice[i], 2 * once[which][i], 1e-12 * std::max(1.0, std::fabs(twice[i])))
          << "accumulation, input " << which << ", element " << i;
    }
  }
  for (size_t constant = 0; constant < inputs.size(); ++constant) {
    std::vector<Variable> mixed;
    for (size_t i = 0; i < inputs.size(); ++i) {
      mixed.push_back(i == constant ? Variable(tensors[i]) : Variable::parameter(tensors[i]));
    }
    if (mixed.size() == 1) break;
    backward(fn(mixed), weights);
    for (size_t i = 0; i < mixed.size(); ++i) {
      if (i == constant) continue;
      const auto alone = to_doubles(mixed[i].grad());
      for (size_t e = 0; e < alone.size(); ++e) {
        ASSERT_NEAR(alone[e], once[i][e], 1e-12 * std::max(1.0, std::fabs(alone[e])))
            << "input " << i << " with input " << constant << " constant, element " << e;
      }
    }
  }
}

}  // namespace prospect::test
