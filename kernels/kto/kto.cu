// One block a sequence. Forward: its threads add the sequence's rows in double, the first makes value and
// slope of the sums. Backward: they write the sequence's slope to its rows.
#include <cmath>

#include "kernels/common/cuda_check.h"
#include "kernels/common/reduce.cuh"
#include "kernels/kto/kto.h"

namespace prospect::kernels::cuda {
namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads) kto_forward_kernel(KtoForward<float> args) {
  __shared__ double partial[3][kWarp];
  const int64_t s = blockIdx.x;
  const int end = args.offsets[s + 1];
  double sums[3] = {};  // of log-ratios, entropies, means of logits
  for (int row = args.offsets[s] + threadIdx.x; row < end; row += kThreads) {
    const float log_probability = args.log_probabilities[row];
    sums[0] += args.reference ? log_probability - args.reference[row] : log_probability;
    if (args.entropy_sums) sums[1] += args.entropies[row];
    if (args.logit_sums) sums[2] += args.logit_means[row];
  }
  block_sums(sums, partial);
  if (threadIdx.x != 0) return;

  const bool desirable = args.labels == nullptr || args.labels[s] != 0;
  const ObjectiveTerm term = objective_term(args.objective, sums[0], desirable, args.z0 ? args.z0[s] : 0);
  const double slope = args.given_slopes ? args.given_slopes[s] : term.slope;
  args.log_ratios[s] = sums[0];
  args.values[s] = term.value;
  args.slopes[s] = slope;
  if (args.entropy_sums) args.entropy_sums[s] = sums[1];
  if (args.logit_sums) args.logit_sums[s] = sums[2];
  if (args.finite && !(isfinite(term.value) && isfinite(slope))) atomicAnd(args.finite, 0);
}

__global__ void __launch_bounds__(kThreads) kto_backward_kernel(KtoBackward<float> args) {
  const int64_t s = blockIdx.x;
  const int end = args.offsets[s + 1];
  const auto slope = static_cast<float>((args.shares ? args.shares[s] : 1) * args.slopes[s]);
  for (int row = args.offsets[s] + threadIdx.x; row < end; row += kThreads) args.row_slopes[row] = slope;
}

}  // namespace

void kto_forward(const KtoForward<float>& args, Stream stream) {
  if (args.sequences == 0) return;
  kto_forward_kernel<<<static_cast<unsigned>(args.sequences), kThreads, 0, stream>>>(args);
  check(cudaGetLastError(), "kto_forward");
}

void kto_backward(const KtoBackward<float>& args, Stream stream) {
  if (args.sequences == 0) return;
  kto_backward_kernel<<<static_cast<unsigned>(args.sequences), kThreads, 0, stream>>>(args);
  check(cudaGetLastError(), "kto_backward");
}

}  // namespace prospect::kernels::cuda
