#include <fmt/format.h>

#include "bench/cases.h"
#include "kernels/rmsnorm/rmsnorm.h"

namespace prospect::bench {
namespace {

template <class T>
Work forward(Arrays& arrays, int64_t rows, int64_t columns) {
  const kernels::RmsNormForward<T> args{.y = arrays.empty<T>(rows * columns),
                                        .rstd = arrays.empty<float>(rows),
                                        .x = arrays.normal<T>(rows * columns),
                                        .weight = arrays.normal<T>(columns),
                                        .rows = rows,
                                        .columns = columns,
                                        .epsilon = 1e-5};
  const int64_t bytes = (2 * rows + 1) * columns * static_cast<int64_t>(sizeof(T)) + rows * 4;
  return {.bytes = static_cast<double>(bytes),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::rmsnorm_forward(args, stream); }};
}

template <class T>
Work backward(Arrays& arrays, int64_t rows, int64_t columns) {
  const kernels::RmsNormBackward<T> args{
      .dx = arrays.empty<T>(rows * columns),
      .dx_mode = GradMode::Overwrite,
      .dweight = arrays.empty<T>(columns),
      .dweight_mode = GradMode::Overwrite,
      .scratch = arrays.empty<float>(kernels::cuda::rmsnorm_backward_scratch_bytes(columns) / 4),
      .dy = arrays.normal<T>(rows * columns),
      .x = arrays.normal<T>(rows * columns),
      .weight = arrays.normal<T>(columns),
      .rstd = arrays.normal<float>(rows),
      .rows = rows,
      .columns = columns};
  const int64_t bytes = (3 * rows + 2) * columns * static_cast<int64_t>(sizeof(T)) + rows * 4;
  return {.bytes = static_cast<double>(bytes),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::rmsnorm_backward(args, stream); }};
}

template <class T>
void add(std::vector<Case>& list, const char* type, int64_t rows, int64_t columns) {
  list.push_back({fmt::format("rmsnorm_forward {} {}x{}", type, rows, columns),
                  [=](Arrays& arrays) { return forward<T>(arrays, rows, columns); }});
  list.push_back({fmt::format("rmsnorm_backward {} {}x{}", type, rows, columns),
                  [=](Arrays& arrays) { return backward<T>(arrays, rows, columns); }});
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
