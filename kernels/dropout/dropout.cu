// One pass: a thread draws the random words of its own elements, four with one call where it holds
// neighbours.
#include "kernels/common/cuda_check.h"
#include "kernels/common/philox.h"
#include "kernels/common/row.cuh"
#include "kernels/dropout/dropout.h"

namespace prospect::kernels::cuda {
namespace {

template <class T>
struct Masking {
  T* to;
  const T* from;
  GradMode mode;
  uint32_t threshold, site;
  uint64_t key;
  float scale;
  const int32_t *examples, *positions;
  int64_t tokens, columns;
};

/// to = from * kept / (1 - probability).
template <class T, bool kVectors>
__global__ void __launch_bounds__(kMostTileThreads) dropout_kernel(Masking<T> args, Tiles tiles) {
  const int64_t token = blockIdx.x / tiles.count, begin = int64_t{blockIdx.x % tiles.count} * tiles.columns;
  const RowSlice<T, kVectors> slice{static_cast<int>(std::min<int64_t>(tiles.columns, args.columns - begin))};
  const auto position = static_cast<uint32_t>(args.positions[token]);
  const auto example = static_cast<uint32_t>(args.examples[token]);
  const auto draw = [&](int64_t column) {
    return philox({static_cast<uint32_t>(column / 4), position, example, args.site}, args.key);
  };

  float values[kRowValues];
  slice.load(args.from + token * args.columns + begin, values);
  const auto mask = [&](int i, uint32_t word) {
    values[i] = word >= args.threshold ? values[i] * args.scale : 0;
  };
  if constexpr (kVectors) {
#pragma unroll
    for (int i = 0; i < kRowValues; i += 4) {
      if (!slice.has(i)) continue;  // words cost more than anything else here
      const auto words = draw(begin + slice.column(i));
      mask(i, words[0]), mask(i + 1, words[1]), mask(i + 2, words[2]), mask(i + 3, words[3]);
    }
  } else {
#pragma unroll
    for (int i = 0; i < kRowValues; ++i) {
      if (!slice.has(i)) continue;
      const int64_t column = begin + slice.column(i);
      const auto words = draw(column);
      const uint32_t even = column & 2 ? words[2] : words[0], odd = column & 2 ? words[3] : words[1];
      mask(i, column & 1 ? odd : even);
    }
  }
  slice.put(args.to + token * args.columns + begin, values, args.mode);
}

template <class T>
void apply_mask(const DropoutMask& mask, const T* from, T* to, GradMode mode, int64_t tokens, int64_t columns,
                Stream stream, const char* name) {
  if (tokens == 0 || columns == 0) return;
  const Tiles tiles(columns);
  const bool vectors = rows_in_vectors<T>(columns, {from, to});
  const auto kernel = vectors ? dropout_kernel<T, true> : dropout_kernel<T, false>;
  kernel<<<static_cast<unsigned>(tokens) * tiles.count, tiles.columns / kRowValues, 0, stream>>>(
      {.to = to,
       .from = from,
       .mode = mode,
       .threshold = dropout_threshold(mask.probability),
       .site = mask.site,
       .key = mask.key,
       .scale = static_cast<float>(1 / (1 - mask.probability)),
       .examples = mask.examples,
       .positions = mask.positions,
       .tokens = tokens,
       .columns = columns},
      tiles);
  check(cudaGetLastError(), name);
}

}  // namespace

template <class T>
void dropout_forward(const DropoutForward<T>& args, Stream stream) {
  apply_mask(args.mask, args.x, args.y, GradMode::Overwrite, args.tokens, args.columns, stream,
             "dropout_forward");
}

template <class T>
void dropout_backward(const DropoutBackward<T>& args, Stream stream) {
  if (args.dx_mode == GradMode::Ignore) return;
  apply_mask(args.mask, args.dy, args.dx, args.dx_mode, args.tokens, args.columns, stream,
             "dropout_backward");
}

template void dropout_forward(const DropoutForward<float>&, Stream);
template void dropout_forward(const DropoutForward<bf16>&, Stream);
template void dropout_backward(const DropoutBackward<float>&, Stream);
template void dropout_backward(const DropoutBackward<bf16>&, Stream);

}  // namespace prospect::kernels::cuda
