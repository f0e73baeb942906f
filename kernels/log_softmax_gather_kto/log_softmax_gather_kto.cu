// One launch whose blocks are all resident and meet twice. Each takes its rows of logits into shared memory,
// all at once, and writes their statistics; then the warps of all blocks take the sequences; then each block
// writes the gradients of the rows it holds.
#include <cooperative_groups.h>

#include "kernels/common/device_attribute.h"
#include "kernels/kto/kto.cuh"
#include "kernels/log_softmax_gather/log_softmax_gather.cuh"
#include "kernels/log_softmax_gather_kto/log_softmax_gather_kto.h"

namespace prospect::kernels::cuda {
namespace {

/// Words of shared memory for a row, which keeps its place modulo kAlign elements, so that sums are taken in
/// the same order as from global memory.
__host__ __device__ int slot_words(int64_t columns) {
  constexpr int kAlign = softmax_row::kAlign;
  return (static_cast<int>(columns) + 2 * kAlign - 2) / kAlign * kAlign;
}
__device__ float* held_row(float* slots, int slot, const float* row, int columns) {
  return slots + slot * slot_words(columns) + softmax_row::place_of(row) % softmax_row::kAlign;
}

/// Begins to copy a row.
__device__ void copy_row(float* to, const float* from, int columns) {
  const softmax_row::RowParts parts = softmax_row::row_parts<true>(from, columns);
  const uint32_t place = ptx::shared_address(to);
  for (int c = threadIdx.x; c < parts.head; c += blockDim.x) ptx::copy_async_word(place + c * 4, from + c, 4);
  for (int vector = threadIdx.x; vector < parts.vectors; vector += blockDim.x) {
    const int c = parts.head + vector * softmax_row::kWidth;
    ptx::copy_async(place + c * 4, from + c, 16);
  }
  for (int c = parts.tail() + threadIdx.x; c < columns; c += blockDim.x) {
    ptx::copy_async_word(place + c * 4, from + c, 4);
  }
}

template <class T, bool kTogether>
__global__ void __launch_bounds__(softmax_row::kMostThreads, 2)
    log_softmax_gather_kto_kernel(LogSoftmaxGatherKto<T> args, int rows_of_block) {
  extern __shared__ __align__(128) float slots[];
  __shared__ softmax_row::RowSums of_warp[kWarp];
  const cooperative_groups::grid_group grid = cooperative_groups::this_grid();
  const LogSoftmaxGatherForward<float>& statistics = args.statistics;
  const int columns = static_cast<int>(statistics.columns);
  const int64_t begin = blockIdx.x * int64_t{rows_of_block},
                end = min(statistics.rows, begin + rows_of_block);
  const auto held = [&](int64_t row) {
    return held_row(slots, static_cast<int>(row - begin), statistics.logits + row * statistics.stride,
                    columns);
  };

  for (int64_t row = begin; row < end; ++row) {
    copy_row(held(row), statistics.logits + row * statistics.stride, columns);
  }
  ptx::commit_copies();
  ptx::wait_for_copies<0>();
  for (int64_t row = begin; row < end; ++row) {
    __syncthreads();
    softmax_row::write_statistics(statistics, row, held(row), of_warp);
  }
  grid.sync();

  const int64_t warps = gridDim.x * (blockDim.x / kWarp);
  for (int64_t s = threadIdx.x / kWarp * gridDim.x + blockIdx.x; s < args.objective.sequences; s += warps) {
    kto_forward_of(args.objective, s);
    __syncwarp();
    kto_backward_of(args.spread, s);
  }
  grid.sync();

  for (int64_t row = begin; row < end; ++row) {
    softmax_row::write_gradient<kTogether, 0>(args.gradient, row, held(row), 0, 1);
  }
}

int attribute(cudaDeviceAttr which) {
  return device_attribute(which, "log_softmax_gather_kto");
}

/// How a device holds all rows at once.
struct Residence {
  int rows_of_block = 0;  ///< 0: it does not
  unsigned blocks = 0, threads = 0;
  size_t shared_bytes = 0;
};

template <class T>
Residence residence_of(void (*kernel)(LogSoftmaxGatherKto<T>, int), int64_t rows, int64_t columns) {
  constexpr int64_t kMostBlocks = 32;  ///< on a multiprocessor
  cudaFuncAttributes attributes;
  check(cudaFuncGetAttributes(&attributes, kernel), "log_softmax_gather_kto");
  const int64_t most_bytes =
      attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin) - static_cast<int64_t>(attributes.sharedSizeBytes);
  const int64_t multiprocessors = attribute(cudaDevAttrMultiProcessorCount);
  if (columns > most_bytes || attribute(cudaDevAttrCooperativeLaunch) == 0) return {};
  const int64_t slot_bytes = slot_words(columns) * static_cast<int64_t>(sizeof(float));
  const int threads = softmax_row::statistics_threads(columns);
  // Few rows to a block keep many blocks at work.
  const int64_t fewest = (rows + multiprocessors * kMostBlocks - 1) / (multiprocessors * kMostBlocks);
  for (int64_t held = fewest; held * slot_bytes <= most_bytes; held += 1 + held / 8) {
    const size_t bytes = static_cast<size_t>(held * slot_bytes);
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
          "log_softmax_gather_kto");
    int resident = 0;
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, threads, bytes),
          "log_softmax_gather_kto");
    const int64_t blocks = (rows + held - 1) / held;
    if (blocks <= resident * multiprocessors) {
      return {static_cast<int>(held), static_cast<unsigned>(blocks), static_cast<unsigned>(threads), bytes};
    }
  }
  return {};
}

template <class T>
auto kernel_for(const LogSoftmaxGatherKto<T>& args) {
  return softmax_row::together(args.gradient) ? log_softmax_gather_kto_kernel<T, true>
                                              : log_softmax_gather_kto_kernel<T, false>;
}

}  // namespace

template <class T>
bool log_softmax_gather_kto_fits(const LogSoftmaxGatherKto<T>& args) {
  return residence_of(kernel_for(args), args.statistics.rows, args.statistics.columns).rows_of_block > 0;
}

template <class T>
void log_softmax_gather_kto(const LogSoftmaxGatherKto<T>& args, Stream stream) {
  if (args.statistics.rows == 0) return kto_forward(args.objective, stream);
  const auto kernel = kernel_for(args);
  Residence residence = residence_of(kernel, args.statistics.rows, args.statistics.columns);
  if (residence.rows_of_block == 0) {
    log_softmax_gather_forward(args.statistics, stream);
    kto_forward(args.objective, stream);
    kto_backward(args.spread, stream);
    log_softmax_gather_backward(args.gradient, stream);
    return;
  }
  LogSoftmaxGatherKto<T> copy = args;
  void* arguments[] = {&copy, &residence.rows_of_block};
  check(cudaLaunchCooperativeKernel(kernel, residence.blocks, residence.threads, arguments,
                                    residence.shared_bytes, stream),
        "log_softmax_gather_kto");
}

template bool log_softmax_gather_kto_fits(const LogSoftmaxGatherKto<float>&);
template bool log_softmax_gather_kto_fits(const LogSoftmaxGatherKto<bf16>&);
template void log_softmax_gather_kto(const LogSoftmaxGatherKto<float>&, Stream);
template void log_softmax_gather_kto(const LogSoftmaxGatherKto<bf16>&, Stream);

}  // namespace prospect::kernels::cuda
