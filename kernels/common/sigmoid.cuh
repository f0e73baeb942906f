#pragma once

#include "kernels/common/ptx.cuh"

namespace prospect::kernels::cuda {

/// sigmoid(x) and sigmoid(-x) = 1 - sigmoid(x), each with a relative error below (|x| + 8) 2^-24: the
/// exponent x log2(e) is rounded once, exponential and reciprocal have two units in the last place. 0 where
/// it is below the smallest normal number.
struct SigmoidPair {
  float value, complement;
};
__device__ inline SigmoidPair sigmoids(float x) {
  constexpr float kLog2E = 1.44269504f;
  const float e = ptx::exp2_approximate(-kLog2E * fabsf(x));
  const float large = ptx::reciprocal_approximate(1 + e), small = e * large;
  return {x < 0 ? small : large, x < 0 ? large : small};
}

}  // namespace prospect::kernels::cuda
