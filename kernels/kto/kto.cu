// One warp a sequence.
#include "kernels/kto/kto.cuh"

#include "kernels/common/cuda_check.h"

namespace prospect::kernels::cuda {
namespace {

constexpr int kSequences = 4;  ///< of a block

unsigned blocks_of(int64_t sequences) {
  return static_cast<unsigned>((sequences + kSequences - 1) / kSequences);
}

__global__ void __launch_bounds__(kSequences* kWarp) kto_forward_kernel(KtoForward<float> args) {
  const int64_t s = blockIdx.x * int64_t{kSequences} + threadIdx.x / kWarp;
  if (s < args.sequences) kto_forward_of(args, s);
}

__global__ void __launch_bounds__(kSequences* kWarp) kto_backward_kernel(KtoBackward<float> args) {
  const int64_t s = blockIdx.x * int64_t{kSequences} + threadIdx.x / kWarp;
  if (s < args.sequences) kto_backward_of(args, s);
}

}  // namespace

void kto_forward(const KtoForward<float>& args, Stream stream) {
  if (args.sequences == 0) return;
  kto_forward_kernel<<<blocks_of(args.sequences), kSequences * kWarp, 0, stream>>>(args);
  check(cudaGetLastError(), "kto_forward");
}

void kto_backward(const KtoBackward<float>& args, Stream stream) {
  if (args.sequences == 0) return;
  kto_backward_kernel<<<blocks_of(args.sequences), kSequences * kWarp, 0, stream>>>(args);
  check(cudaGetLastError(), "kto_backward");
}

}  // namespace prospect::kernels::cuda
