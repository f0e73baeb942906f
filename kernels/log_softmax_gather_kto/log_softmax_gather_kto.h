#pragma once

#include "kernels/kto/kto.h"
#include "kernels/log_softmax_gather/log_softmax_gather.h"

/// From the logits of whole sequences to the objective and the gradient that goes back to the logits: four
/// operations in a row, each with the contract of its own header.
///   log_softmax_gather_forward(statistics),  kto_forward(objective),  kto_backward(spread),
///   log_softmax_gather_backward(gradient)
/// The second reads what the first writes, and so on: their rows and sequences are the same, logits lie where
/// they do in `statistics`. Cost: theirs; on CUDA, where the logits fit, R V elements read and written once
/// instead of read twice and written once.
namespace prospect::kernels {

template <class T>
struct LogSoftmaxGatherKto {
  LogSoftmaxGatherForward<compute_t<T>> statistics;
  KtoForward<compute_t<T>> objective;
  KtoBackward<compute_t<T>> spread;
  LogSoftmaxGatherBackward<T> gradient;
};

namespace cpu {
template <class T>
void log_softmax_gather_kto(const LogSoftmaxGatherKto<T>& args);
}  // namespace cpu

/// On device memory; float and bf16. The same bits as the four operations give. Where the shared memory of
/// all multiprocessors holds the logits, that is one cooperative launch; else four launches. Returns once the
/// work is queued on `stream`.
namespace cuda {
template <class T>
void log_softmax_gather_kto(const LogSoftmaxGatherKto<T>& args, Stream stream);

/// Whether that is one launch on the current device.
template <class T>
bool log_softmax_gather_kto_fits(const LogSoftmaxGatherKto<T>& args);
}  // namespace cuda

}  // namespace prospect::kernels
