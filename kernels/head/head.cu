// The head's steps as launches on a stream; see head_pass.h. Rows of logits begin at multiples of 64 bytes,
// whatever the vocabulary, so that products and softmax take them in vectors.
#include "kernels/common/cuda_check.h"
#include "kernels/common/reduce.cuh"
#include "kernels/head/head_pass.h"

namespace prospect::kernels::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void known_slopes_kernel(double* slopes, const double* given, int64_t sequences) {
  const int64_t s = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  if (s < sequences) slopes[s] = given ? given[s] : -1.0;
}

__global__ void __launch_bounds__(kThreads)
    loss_kernel(double* loss, const double* shares, const double* values, int64_t sequences) {
  __shared__ double partial[1][kWarp];
  double sum[1] = {0};
  for (int64_t s = threadIdx.x; s < sequences; s += kThreads) {
    sum[0] += (shares ? shares[s] : 1) * values[s];
  }
  block_sums(sum, partial);
  if (threadIdx.x == 0) *loss = sum[0];
}

struct Backend {
  MatmulLibrary& library;
  Stream stream;

  static int64_t row_stride(int64_t vocabulary) { return (vocabulary + 15) / 16 * 16; }
  template <class T>
  static int64_t product_scratch_bytes(int64_t, int64_t, int64_t) {
    return matmul_scratch_bytes();
  }

  template <class T, class Out>
  void multiply(const Matmul<T, Out>& args) const {
    matmul(args, library, stream);
  }
  void statistics(const LogSoftmaxGatherForward<float>& args) const {
    log_softmax_gather_forward(args, stream);
  }
  void objective(const KtoForward<float>& args) const { kto_forward(args, stream); }
  void spread(const KtoBackward<float>& args) const { kto_backward(args, stream); }
  template <class T>
  void gradients(const LogSoftmaxGatherBackward<T>& args) const {
    log_softmax_gather_backward(args, stream);
  }
  template <class T>
  void at_once(const LogSoftmaxGatherKto<T>& args) const {
    log_softmax_gather_kto(args, stream);
  }

  void known_slopes(double* slopes, const double* given, int64_t sequences) const {
    if (sequences == 0) return;
    const auto blocks = static_cast<unsigned>((sequences + kThreads - 1) / kThreads);
    known_slopes_kernel<<<blocks, kThreads, 0, stream>>>(slopes, given, sequences);
    check(cudaGetLastError(), "head");
  }
  void loss(double* loss, const double* shares, const double* values, int64_t sequences) const {
    loss_kernel<<<1, kThreads, 0, stream>>>(loss, shares, values, sequences);
    check(cudaGetLastError(), "head");
  }
  /// Zeros are all bits zero in either type.
  template <class T>
  void clear(T* values, int64_t count) const {
    check(cudaMemsetAsync(values, 0, static_cast<size_t>(count) * sizeof(T), stream), "head");
  }
};

}  // namespace

template <class T>
void head_forward(const HeadForward<T>& args, MatmulLibrary& library, Stream stream) {
  HeadPass<T, Backend>(args, Backend{library, stream}).run();
}

template <class T>
int64_t head_scratch_bytes(int64_t rows, int64_t columns, int64_t vocabulary, int64_t chunk_bytes) {
  return HeadScratch<T, Backend>(rows, columns, vocabulary, chunk_bytes).bytes;
}

template void head_forward(const HeadForward<float>&, MatmulLibrary&, Stream);
template void head_forward(const HeadForward<bf16>&, MatmulLibrary&, Stream);
template int64_t head_scratch_bytes<float>(int64_t, int64_t, int64_t, int64_t);
template int64_t head_scratch_bytes<bf16>(int64_t, int64_t, int64_t, int64_t);

}  // namespace prospect::kernels::cuda
