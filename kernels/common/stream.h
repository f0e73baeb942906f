#pragma once

struct CUstream_st;

namespace prospect::kernels::cuda {

/// cudaStream_t, for headers that a build without CUDA reads too.
using Stream = CUstream_st*;

}  // namespace prospect::kernels::cuda
