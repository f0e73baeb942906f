// What callers see: checks, and the choice of kernels. bf16 is multiplied on tensor cores, float is not.
#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/attention_sequence.cuh"
#include "kernels/common/error.h"

namespace prospect::kernels::cuda {
namespace {

void require(bool condition, const std::string& what) {
  if (!condition) throw Error(ExitCode::BadConfig, "attention: " + what);
}

void check_problem(const AttentionProblem& problem) {
  require(problem.head_dim > 0 && problem.head_dim % 8 == 0 && problem.head_dim <= 256,
          "head_dim must be a multiple of 8 up to 256, got " + std::to_string(problem.head_dim));
  require(problem.scale > 0, "on CUDA scale must be positive, got " + std::to_string(problem.scale));
  require(reinterpret_cast<uintptr_t>(problem.bounds) % 16 == 0,
          "on CUDA bounds must begin at a multiple of 16 bytes");
}

/// Copies to shared memory and back take 16 bytes; strides are multiplied as ints.
template <class T>
void check_rows(const char* name, const T* rows, int64_t stride) {
  require(reinterpret_cast<uintptr_t>(rows) % 16 == 0 && stride * static_cast<int64_t>(sizeof(T)) % 16 == 0,
          std::string("on CUDA every row of ") + name + " must begin at a multiple of 16 bytes");
  require(stride <= INT_MAX, std::string("on CUDA ") + name + " has rows too far apart");
}

}  // namespace

template <class T>
void attention_forward(const AttentionForward<T>& args, Stream stream) {
  if (args.problem.sequences == 0 || args.problem.tokens == 0) return;
  check_problem(args.problem);
  check_rows("o", args.o, args.o_stride);
  check_rows("q", args.q, args.q_stride);
  check_rows("k", args.k, args.k_stride);
  check_rows("v", args.v, args.v_stride);
  if constexpr (sizeof(T) == 2) {
    attention_forward_mma(args, stream);
  } else {
    attention_forward_fma(args, stream);
  }
}

template <class T>
void attention_backward(const AttentionBackward<T>& args, Stream stream) {
  if (args.mode == GradMode::Ignore || args.problem.sequences == 0) return;
  check_problem(args.problem);
  check_rows("o and its gradient", args.o, args.o_stride);
  check_rows("o and its gradient", args.d_o, args.o_stride);
  check_rows("q and its gradient", args.q, args.q_stride);
  check_rows("q and its gradient", args.dq, args.q_stride);
  check_rows("k and its gradient", args.k, args.k_stride);
  check_rows("k and its gradient", args.dk, args.k_stride);
  check_rows("v and its gradient", args.v, args.v_stride);
  check_rows("v and its gradient", args.dv, args.v_stride);
  if constexpr (sizeof(T) == 2) {
    attention_backward_queries_mma(args, stream);
    attention_backward_keys_mma(args, stream);
  } else {
    attention_backward_fma(args, stream);
  }
}

int64_t attention_backward_scratch_bytes(const AttentionProblem& problem) {
  return problem.heads * problem.tokens * static_cast<int64_t>(sizeof(RowStatistics));
}

template void attention_forward(const AttentionForward<float>&, Stream);
template void attention_forward(const AttentionForward<bf16>&, Stream);
template void attention_backward(const AttentionBackward<float>&, Stream);
template void attention_backward(const AttentionBackward<bf16>&, Stream);

}  // namespace prospect::kernels::cuda
