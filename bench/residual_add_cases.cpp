#include <fmt/format.h>

#include "bench/cases.h"
#include "kernels/residual_add/residual_add.h"

namespace prospect::bench {
namespace {

template <class T>
Work forward(Arrays& arrays, int64_t count) {
  const kernels::ResidualAddForward<T> args{.y = arrays.empty<T>(count),
                                            .x = arrays.normal<T>(count),
                                            .branch = arrays.normal<T>(count),
                                            .count = count};
  return {.bytes = static_cast<double>(3 * count * static_cast<int64_t>(sizeof(T))),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::residual_add_forward(args, stream); }};
}

/// As in a block: the branch's gradient begins here, x's has come from elsewhere.
template <class T>
Work backward(Arrays& arrays, int64_t count) {
  const kernels::ResidualAddBackward<T> args{.dx = arrays.normal<T>(count),
                                             .dx_mode = GradMode::Accumulate,
                                             .dbranch = arrays.empty<T>(count),
                                             .dbranch_mode = GradMode::Overwrite,
                                             .dy = arrays.normal<T>(count),
                                             .count = count};
  return {.bytes = static_cast<double>(4 * count * static_cast<int64_t>(sizeof(T))),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::residual_add_backward(args, stream); }};
}

template <class T>
void add(std::vector<Case>& list, const char* type, int64_t rows, int64_t columns) {
  list.push_back({fmt::format("residual_add_forward {} {}x{}", type, rows, columns),
                  [=](Arrays& arrays) { return forward<T>(arrays, rows * columns); }});
  list.push_back({fmt::format("residual_add_backward {} {}x{}", type, rows, columns),
                  [=](Arrays& arrays) { return backward<T>(arrays, rows * columns); }});
}

}  // namespace

std::vector<Case> cases() {
  std::vector<Case> list;
  add<bf16>(list, "bf16", 16384, 4096);
  add<bf16>(list, "bf16", 16384, 768);
  add<float>(list, "f32", 16384, 768);
  return list;
}

}  // namespace prospect::bench
