#include <fmt/format.h>

#include "bench/cases.h"
#include "kernels/swiglu/swiglu.h"

namespace prospect::bench {
namespace {

template <class T>
Work forward(Arrays& arrays, int64_t rows, int64_t columns) {
  const kernels::SwigluForward<T> args{.y = arrays.empty<T>(rows * columns),
                                       .gate_up = arrays.normal<T>(rows * 2 * columns),
                                       .rows = rows,
                                       .columns = columns};
  return {.bytes = static_cast<double>(3 * rows * columns * static_cast<int64_t>(sizeof(T))),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::swiglu_forward(args, stream); }};
}

template <class T>
Work backward(Arrays& arrays, int64_t rows, int64_t columns) {
  const kernels::SwigluBackward<T> args{.dgate_up = arrays.empty<T>(rows * 2 * columns),
                                        .dgate_up_mode = GradMode::Overwrite,
                                        .dy = arrays.normal<T>(rows * columns),
                                        .gate_up = arrays.normal<T>(rows * 2 * columns),
                                        .rows = rows,
                                        .columns = columns};
  return {.bytes = static_cast<double>(5 * rows * columns * static_cast<int64_t>(sizeof(T))),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::swiglu_backward(args, stream); }};
}

template <class T>
void add(std::vector<Case>& list, const char* type, int64_t rows, int64_t columns) {
  list.push_back({fmt::format("swiglu_forward {} {}x{}", type, rows, columns),
                  [=](Arrays& arrays) { return forward<T>(arrays, rows, columns); }});
  list.push_back({fmt::format("swiglu_backward {} {}x{}", type, rows, columns),
                  [=](Arrays& arrays) { return backward<T>(arrays, rows, columns); }});
}

}  // namespace

// A 1B model's, and Qwen2-0.5B's, whose rows are no whole number of tiles.
std::vector<Case> cases() {
  std::vector<Case> list;
  add<bf16>(list, "bf16", 16384, 8192);
  add<bf16>(list, "bf16", 16384, 4864);
  add<float>(list, "f32", 16384, 4864);
  return list;
}

}  // namespace prospect::bench
