// Forward: one block a row, which it reads once: every thread keeps the largest logit it has seen and sums
// relative to it, which shrink when a larger one comes. Backward: a block has one part of a row, each thread
// four vectors of it, which are all under way before it uses the first.
#include "kernels/log_softmax_gather/log_softmax_gather.cuh"

#include "kernels/common/cuda_check.h"

namespace prospect::kernels::cuda {
namespace {

constexpr int kBackwardThreads = 256;

__global__ void __launch_bounds__(softmax_row::kMostThreads, 2)
    log_softmax_gather_forward_kernel(LogSoftmaxGatherForward<float> args) {
  __shared__ softmax_row::RowSums of_warp[kWarp];
  const int64_t row = blockIdx.x;
  softmax_row::write_statistics(args, row, args.logits + row * args.stride, of_warp);
}

template <class T, bool kTogether>
__global__ void __launch_bounds__(kBackwardThreads)
    log_softmax_gather_backward_kernel(LogSoftmaxGatherBackward<T> args) {
  const int64_t row = blockIdx.x;
  softmax_row::write_gradient<kTogether, kBackwardThreads>(args, row, args.logits + row * args.stride,
                                                           blockIdx.y, gridDim.y);
}

}  // namespace

void log_softmax_gather_forward(const LogSoftmaxGatherForward<float>& args, Stream stream) {
  if (args.rows == 0) return;
  const int threads = softmax_row::statistics_threads(args.columns);
  log_softmax_gather_forward_kernel<<<static_cast<unsigned>(args.rows), threads, 0, stream>>>(args);
  check(cudaGetLastError(), "log_softmax_gather_forward");
}

template <class T>
void log_softmax_gather_backward(const LogSoftmaxGatherBackward<T>& args, Stream stream) {
  if (args.rows == 0) return;
  constexpr int64_t kPart = kBackwardThreads * softmax_row::kGroup;
  const int64_t parts = std::clamp<int64_t>((args.columns + kPart - 1) / kPart, 1, 65535);
  const dim3 blocks(static_cast<unsigned>(args.rows), static_cast<unsigned>(parts));
  const auto kernel = softmax_row::together(args) ? log_softmax_gather_backward_kernel<T, true>
                                                  : log_softmax_gather_backward_kernel<T, false>;
  kernel<<<blocks, kBackwardThreads, 0, stream>>>(args);
  check(cudaGetLastError(), "log_softmax_gather_backward");
}

template void log_softmax_gather_backward(const LogSoftmaxGatherBackward<float>&, Stream);
template void log_softmax_gather_backward(const LogSoftmaxGatherBackward<bf16>&, Stream);

}  // namespace prospect::kernels::cuda
