#pragma once

#include <functional>
#include <span>
#include <vector>

#include "engine/autograd.h"

namespace prospect {

/// Runs fn without recording and keeps only its inputs; backward() runs it again and walks that graph. Leaves
/// that fn uses through capture receive their gradients then. Trades a second forward for the activations.
using RecomputeFunction = std::function<Variable(std::span<const Variable>)>;
Variable recompute(RecomputeFunction fn, std::vector<Variable> inputs);

}  // namespace prospect
