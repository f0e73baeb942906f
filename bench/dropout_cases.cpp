#include <fmt/format.h>

#include "bench/cases.h"
#include "kernels/dropout/dropout.h"

namespace prospect::bench {
namespace {

kernels::DropoutMask make_mask(Arrays& arrays, int64_t tokens) {
  std::vector<int32_t> examples, positions;
  for (int64_t i = 0; i < tokens; ++i) {
    examples.push_back(static_cast<int32_t>(i / 512));
    positions.push_back(static_cast<int32_t>(i % 512));
  }
  return {.probability = 0.1,
          .key = kernels::dropout_key(1, 1),
          .site = 1,
          .examples = arrays.given(examples),
          .positions = arrays.given(positions)};
}

template <class T>
Work forward(Arrays& arrays, int64_t tokens, int64_t columns) {
  const kernels::DropoutForward<T> args{.y = arrays.empty<T>(tokens * columns),
                                        .x = arrays.normal<T>(tokens * columns),
                                        .mask = make_mask(arrays, tokens),
                                        .tokens = tokens,
                                        .columns = columns};
  const int64_t bytes = 2 * tokens * columns * static_cast<int64_t>(sizeof(T)) + 2 * 4 * tokens;
  return {.bytes = static_cast<double>(bytes),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::dropout_forward(args, stream); }};
}

template <class T>
Work backward(Arrays& arrays, int64_t tokens, int64_t columns) {
  const kernels::DropoutBackward<T> args{.dx = arrays.empty<T>(tokens * columns),
                                         .dx_mode = GradMode::Overwrite,
                                         .dy = arrays.normal<T>(tokens * columns),
                                         .mask = make_mask(arrays, tokens),
                                         .tokens = tokens,
                                         .columns = columns};
  const int64_t bytes = 2 * tokens * columns * static_cast<int64_t>(sizeof(T)) + 2 * 4 * tokens;
  return {.bytes = static_cast<double>(bytes),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::dropout_backward(args, stream); }};
}

template <class T>
void add(std::vector<Case>& list, const char* type, int64_t tokens, int64_t columns) {
  list.push_back({fmt::format("dropout_forward {} {}x{}", type, tokens, columns),
                  [=](Arrays& arrays) { return forward<T>(arrays, tokens, columns); }});
  list.push_back({fmt::format("dropout_backward {} {}x{}", type, tokens, columns),
                  [=](Arrays& arrays) { return backward<T>(arrays, tokens, columns); }});
}

}  // namespace

// The rows of GPT-2 medium and small.
std::vector<Case> cases() {
  std::vector<Case> list;
  add<bf16>(list, "bf16", 16384, 1024);
  add<bf16>(list, "bf16", 16384, 768);
  add<float>(list, "f32", 16384, 768);
  return list;
}

}  // namespace prospect::bench
