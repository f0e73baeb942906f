#pragma once

#include "kernels/attention/attention.h"

/// The kernels behind cuda::attention_forward and cuda::attention_backward, which check the arguments first.
namespace prospect::kernels::cuda {

void attention_forward_mma(const AttentionForward<bf16>& args, Stream stream);
void attention_forward_fma(const AttentionForward<float>& args, Stream stream);

/// dq, and what attention_backward_keys_mma needs of each row into scratch.
void attention_backward_queries_mma(const AttentionBackward<bf16>& args, Stream stream);
/// dk and dv, after attention_backward_queries_mma.
void attention_backward_keys_mma(const AttentionBackward<bf16>& args, Stream stream);
void attention_backward_fma(const AttentionBackward<float>& args, Stream stream);

}  // namespace prospect::kernels::cuda
