#include "kernels/dropout/dropout.h"

#include <algorithm>

#include "kernels/common/parallel.h"
#include "kernels/common/philox.h"

namespace prospect::kernels::cpu {

namespace {

constexpr int64_t kStrip = 128;  // columns whose random words are drawn together

/// The random words of columns [first, first + kStrip) of a token; first is a multiple of 4.
void draw_words(const DropoutMask& mask, int64_t token, int64_t first, uint32_t* words) {
  const uint32_t position = static_cast<uint32_t>(mask.positions[token]);
  const uint32_t example = static_cast<uint32_t>(mask.examples[token]);
  const uint32_t site = mask.site, group = static_cast<uint32_t>(first / 4);
  const uint64_t key = mask.key;
#pragma omp simd
  for (int64_t g = 0; g < kStrip / 4; ++g) {
    const auto four = philox({group + static_cast<uint32_t>(g), position, example, site}, key);
    words[4 * g] = four[0];
    words[4 * g + 1] = four[1];
    words[4 * g + 2] = four[2];
    words[4 * g + 3] = four[3];
  }
}

/// to = from * kept / (1 - probability) for every token.
template <class T>
void apply_mask(const DropoutMask& mask, const T* from, T* to, GradMode mode, int64_t tokens,
                int64_t columns) {
  using C = compute_t<T>;
  const uint32_t threshold = dropout_threshold(mask.probability);
  const C scale = static_cast<C>(1 / (1 - mask.probability));
  parallel_for(tokens, [&, threshold, scale](int64_t token) {
    for (int64_t first = 0; first < columns; first += kStrip) {
      uint32_t words[kStrip];
      draw_words(mask, token, first, words);
      const int64_t width = std::min(kStrip, columns - first);
      const T* x = from + token * columns + first;
      T* y = to + token * columns + first;
      for (int64_t c = 0; c < width; ++c) {
        put(y[c], words[c] >= threshold ? load(x[c]) * scale : C{0}, mode);
      }
    }
  });
}

}  // namespace

template <class T>
void dropout_forward(const DropoutForward<T>& args) {
  apply_mask(args.mask, args.x, args.y, GradMode::Overwrite, args.tokens, args.columns);
}

template <class T>
void dropout_backward(const DropoutBackward<T>& args) {
  if (args.dx_mode == GradMode::Ignore) return;
  apply_mask(args.mask, args.dy, args.dx, args.dx_mode, args.tokens, args.columns);
}

template void dropout_forward(const DropoutForward<float>&);
template void dropout_forward(const DropoutForward<bf16>&);
template void dropout_forward(const DropoutForward<double>&);
template void dropout_backward(const DropoutBackward<float>&);
template void dropout_backward(const DropoutBackward<bf16>&);
template void dropout_backward(const DropoutBackward<double>&);

}  // namespace prospect::kernels::cpu
