#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/common/cuda_check.h"
#include "kernels/common/row.cuh"
#include "kernels/common/stream.h"

/// Operations that compute each element from those at the same place in other arrays: one read of every
/// input, one write of every output, in vectors where they are aligned.
namespace prospect::kernels::cuda {

/// Rows of `columns` elements, at distances of their own in each array. A flat array is one row.
template <class T, int kInputs, int kOutputs>
struct Elementwise {
  struct Input {
    const T* begin;
    int64_t stride;
  };
  struct Output {
    T* begin;  ///< null where the mode is Ignore
    int64_t stride;
    GradMode mode;
  };
  Input inputs[kInputs];
  Output outputs[kOutputs];
  int64_t rows, columns;
};

/// outputs[k][i] = y[k] of function(x, y) with x[k] = inputs[k][i].
template <class T, bool kVectors, int kInputs, int kOutputs, class Function>
__global__ void __launch_bounds__(kMostTileThreads)
    elementwise_kernel(Elementwise<T, kInputs, kOutputs> args, Tiles tiles, Function function) {
  const int64_t row = blockIdx.x / tiles.count, begin = int64_t{blockIdx.x % tiles.count} * tiles.columns;
  const RowSlice<T, kVectors> slice{static_cast<int>(std::min<int64_t>(tiles.columns, args.columns - begin))};
  float in[kInputs][kRowValues], out[kOutputs][kRowValues];
#pragma unroll
  for (int k = 0; k < kInputs; ++k) {
    slice.load(args.inputs[k].begin + row * args.inputs[k].stride + begin, in[k]);
  }
#pragma unroll
  for (int i = 0; i < kRowValues; ++i) {
    float x[kInputs], y[kOutputs];
#pragma unroll
    for (int k = 0; k < kInputs; ++k) x[k] = in[k][i];
    function(x, y);
#pragma unroll
    for (int k = 0; k < kOutputs; ++k) out[k][i] = y[k];
  }
#pragma unroll
  for (int k = 0; k < kOutputs; ++k) {
    const auto& output = args.outputs[k];
    if (output.mode != GradMode::Ignore) {
      slice.put(output.begin + row * output.stride + begin, out[k], output.mode);
    }
  }
}

/// Whether every row of every array begins at a multiple of 16 bytes.
template <class T, int kInputs, int kOutputs>
bool rows_are_aligned(const Elementwise<T, kInputs, kOutputs>& args) {
  const auto is_aligned = [&](const auto& array) {
    return reinterpret_cast<uintptr_t>(array.begin) % 16 == 0 &&
           (args.rows == 1 || array.stride % kVector<T> == 0);
  };
  return std::all_of(args.inputs, args.inputs + kInputs, is_aligned) &&
         std::all_of(args.outputs, args.outputs + kOutputs, is_aligned);
}

/// Queues the function on all elements. What a flat array has behind its last whole vector is a launch of its
/// own.
template <class T, int kInputs, int kOutputs, class Function>
void elementwise(Elementwise<T, kInputs, kOutputs> args, Function function, Stream stream, const char* name) {
  if (args.rows == 0 || args.columns == 0) return;
  const int64_t rest = args.columns % kVector<T>;
  const bool flat = args.rows == 1, aligned = rows_are_aligned(args);
  const auto launch = [&](auto kernel) {
    const Tiles tiles(args.columns);
    kernel<<<static_cast<unsigned>(args.rows) * tiles.count, tiles.columns / kRowValues, 0, stream>>>(
        args, tiles, function);
    check(cudaGetLastError(), name);
  };
  if (aligned && (rest == 0 || (flat && rest < args.columns))) {
    args.columns -= rest;
    launch(elementwise_kernel<T, true, kInputs, kOutputs, Function>);
    if (rest == 0) return;
    for (auto& input : args.inputs) input.begin += args.columns;
    for (auto& output : args.outputs) {
      if (output.mode != GradMode::Ignore) output.begin += args.columns;
    }
    args.columns = rest;
  }
  launch(elementwise_kernel<T, false, kInputs, kOutputs, Function>);
}

}  // namespace prospect::kernels::cuda
