#include "engine/autograd.h"

#include <gtest/gtest.h>

#include "engine/recompute.h"
#include "tests/support/near.h"
#include "tests/support/random.h"

namespace prospect::test {
namespace {

/// a * b by elements: the smallest op with two inputs.
Variable multiply(const Variable& a, const Variable& b) {
  const Tensor y = Tensor::empty(a.shape(), DType::F64, a.value().device());
  for (int64_t i = 0; i < y.count(); ++i) {
    y.data<double>()[i] = a.value().data<double>()[i] * b.value().data<double>()[i];
  }
  return record(y, {a, b},
                [a = a.value(), b = b.value()](const Tensor& dy, std::span<const GradTarget> targets) {
                  for (int64_t i = 0; i < dy.count(); ++i) {
                    const double g = dy.data<double>()[i];
                    if (targets[0].mode != GradMode::Ignore)
                      put(targets[0].buffer.data<double>()[i], g * b.data<double>()[i], targets[0].mode);
                    if (targets[1].mode != GradMode::Ignore)
                      put(targets[1].buffer.data<double>()[i], g * a.data<double>()[i], targets[1].mode);
                  }
                });
}

Tensor scalar(double value) {
  return Tensor::from(std::vector<double>{value}, Device::cpu());
}

double value_of(const Tensor& tensor) {
  return tensor.data<double>()[0];
}

TEST(Autograd, SharedInputSumsItsUses) {
  const Variable x = Variable::parameter(scalar(3));
  backward(multiply(multiply(x, x), x));
  EXPECT_DOUBLE_EQ(value_of(x.grad()), 27);
}

TEST(Autograd, SecondPassAddsAndZeroGradForgets) {
  const Variable x = Variable::parameter(scalar(2)), y = Variable::parameter(scalar(5));
  backward(multiply(x, y));
  backward(multiply(x, y));
  EXPECT_DOUBLE_EQ(value_of(x.grad()), 10);
  x.zero_grad();
  EXPECT_FALSE(x.grad().defined());
  backward(multiply(x, y));
  EXPECT_DOUBLE_EQ(value_of(x.grad()), 5);
  EXPECT_DOUBLE_EQ(value_of(y.grad()), 6);
}

TEST(Autograd, ConstantsAndNoGradRecordNothing) {
  const Variable x = Variable::parameter(scalar(2));
  EXPECT_FALSE(multiply(Variable(scalar(1)), Variable(scalar(2))).needs_grad());
  const NoGrad off;
  EXPECT_FALSE(multiply(x, x).needs_grad());
}

TEST(Autograd, ActivationsDieWithTheirLastUse) {
  const Device device = Device::cpu();
  const auto allocate = [&] { return Tensor::from(std::vector<double>(1000, 1.0), {1000}, device); };
  const Variable x = Variable::parameter(allocate()), y = Variable::parameter(allocate());
  const Tensor seed = allocate();
  {
    const Variable loss = multiply(multiply(x, y), y);
    backward(loss, seed);
  }
  // x, y, their gradients and the seed remain.
  const int64_t block = device.memory_use().current_bytes / 5;
  EXPECT_EQ(device.memory_use().current_bytes, 5 * block);
  EXPECT_GE(block, 8000);
  EXPECT_LE(block, 9000);
}

TEST(Autograd, GradientsGoToTheBufferThatWasGiven) {
  const Tensor arena = Tensor::zeros({2}, DType::F64, Device::cpu());
  const Variable x = Variable::parameter(scalar(3), arena.rows(1, 2));
  backward(multiply(x, Variable(scalar(4))));
  EXPECT_EQ(to_doubles(arena), (std::vector<double>{0, 4}));
}

TEST(Autograd, HookFiresOnceAfterTheLastContribution) {
  const Variable x = Variable::parameter(scalar(3));
  std::vector<double> seen;
  x.set_on_ready([&] { seen.push_back(value_of(x.grad())); });
  backward(multiply(multiply(x, x), x));
  EXPECT_EQ(seen, std::vector<double>{27});
}

TEST(Autograd, WalksGraphsTooDeepForRecursion) {
  const Variable one(scalar(1));
  const Variable x = Variable::parameter(scalar(2));
  Variable y = x;
  for (int i = 0; i < 200000; ++i) y = multiply(y, one);
  backward(y);
  EXPECT_DOUBLE_EQ(value_of(x.grad()), 1);
}

TEST(Recompute, GivesTheSameGradientsAsKeepingActivations) {
  const Variable weight = Variable::parameter(scalar(7)), x = Variable::parameter(scalar(3));
  const auto block = [&](std::span<const Variable> in) { return multiply(multiply(in[0], weight), in[0]); };
  backward(recompute(block, {x}));
  EXPECT_DOUBLE_EQ(value_of(x.grad()), 42);
  EXPECT_DOUBLE_EQ(value_of(weight.grad()), 9);
  backward(multiply(recompute(block, {x}), x));  // x is also used outside: contributions add up
  EXPECT_DOUBLE_EQ(value_of(x.grad()), 42 + 3 * 63);
}

TEST(Recompute, ReachesCapturedParametersFromConstantInputs) {
  const Variable weight = Variable::parameter(scalar(7));
  backward(recompute([&](std::span<const Variable> in) { return multiply(in[0], weight); },
                     {Variable(scalar(3))}));
  EXPECT_DOUBLE_EQ(value_of(weight.grad()), 3);
}

}  // namespace
}  // namespace prospect::test
