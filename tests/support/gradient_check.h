#pragma once

#include <functional>
#include <span>

#include "engine/autograd.h"

namespace prospect::test {

using Function = std::function<Variable(std::span<const Variable>)>;

/// Compares the gradient of sum(fn(inputs) * w), w fixed and random, with central differences, for every
/// element of every input (f64), and reports the first mismatch as a test failure. Also checks what every op
/// owes the engine: a second backward pass without zero_grad doubles each gradient, and inputs that are
/// constants get none. A central difference with step h errs by h^2 |f'''| / 6 + roundoff |f| / h; with h =
/// 1e-5 and values of order 1 both are near 1e-10, so the tolerance of 1e-7 * max(1, |gradient|) leaves room
/// for sums of a thousand terms.
void check_gradients(const Function& fn, const std::vector<Tensor>& inputs, double tolerance = 1e-7);

}  // namespace prospect::test
