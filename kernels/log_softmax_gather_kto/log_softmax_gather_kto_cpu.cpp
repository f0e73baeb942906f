#include "kernels/log_softmax_gather_kto/log_softmax_gather_kto.h"

namespace prospect::kernels::cpu {

template <class T>
void log_softmax_gather_kto(const LogSoftmaxGatherKto<T>& args) {
  log_softmax_gather_forward(args.statistics);
  kto_forward(args.objective);
  kto_backward(args.spread);
  log_softmax_gather_backward(args.gradient);
}

template void log_softmax_gather_kto(const LogSoftmaxGatherKto<float>&);
template void log_softmax_gather_kto(const LogSoftmaxGatherKto<bf16>&);
template void log_softmax_gather_kto(const LogSoftmaxGatherKto<double>&);

}  // namespace prospect::kernels::cpu
