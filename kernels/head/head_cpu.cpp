#include "kernels/head/head_pass.h"

namespace prospect::kernels::cpu {

namespace {

struct Backend {
  static int64_t row_stride(int64_t vocabulary) { return vocabulary; }
  template <class T>
  static int64_t product_scratch_bytes(int64_t rows, int64_t columns, int64_t inner) {
    return matmul_scratch_bytes<T>(rows, columns, inner);
  }

  template <class T, class Out>
  void multiply(const Matmul<T, Out>& args) const {
    matmul(args);
  }
  template <class C>
  void statistics(const LogSoftmaxGatherForward<C>& args) const {
    log_softmax_gather_forward(args);
  }
  template <class C>
  void objective(const KtoForward<C>& args) const {
    kto_forward(args);
  }
  template <class C>
  void spread(const KtoBackward<C>& args) const {
    kto_backward(args);
  }
  template <class T>
  void gradients(const LogSoftmaxGatherBackward<T>& args) const {
    log_softmax_gather_backward(args);
  }
  template <class T>
  void at_once(const LogSoftmaxGatherKto<T>& args) const {
    log_softmax_gather_kto(args);
  }

  void known_slopes(double* slopes, const double* given, int64_t sequences) const {
    for (int64_t s = 0; s < sequences; ++s) slopes[s] = given ? given[s] : -1.0;
  }
  void loss(double* loss, const double* shares, const double* values, int64_t sequences) const {
    double sum = 0;
    for (int64_t s = 0; s < sequences; ++s) sum += (shares ? shares[s] : 1) * values[s];
    *loss = sum;
  }
  template <class T>
  void clear(T* values, int64_t count) const {
    std::fill_n(values, count, T{});
  }
};

}  // namespace

template <class T>
void head_forward(const HeadForward<T>& args) {
  HeadPass<T, Backend>(args, {}).run();
}

template <class T>
int64_t head_scratch_bytes(int64_t rows, int64_t columns, int64_t vocabulary, int64_t chunk_bytes) {
  return HeadScratch<T, Backend>(rows, columns, vocabulary, chunk_bytes).bytes;
}

template void head_forward(const HeadForward<float>&);
template void head_forward(const HeadForward<bf16>&);
template void head_forward(const HeadForward<double>&);
template int64_t head_scratch_bytes<float>(int64_t, int64_t, int64_t, int64_t);
template int64_t head_scratch_bytes<bf16>(int64_t, int64_t, int64_t, int64_t);
template int64_t head_scratch_bytes<double>(int64_t, int64_t, int64_t, int64_t);

}  // namespace prospect::kernels::cpu
