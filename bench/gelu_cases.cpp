#include <fmt/format.h>

#include "bench/cases.h"
#include "kernels/gelu/gelu.h"

namespace prospect::bench {
namespace {

template <class T>
Work forward(Arrays& arrays, int64_t count, GeluKind kind) {
  const kernels::GeluForward<T> args{
      .y = arrays.empty<T>(count), .x = arrays.normal<T>(count), .count = count, .kind = kind};
  return {.bytes = static_cast<double>(2 * count * static_cast<int64_t>(sizeof(T))),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::gelu_forward(args, stream); }};
}

template <class T>
Work backward(Arrays& arrays, int64_t count, GeluKind kind) {
  const kernels::GeluBackward<T> args{.dx = arrays.empty<T>(count),
                                      .dx_mode = GradMode::Overwrite,
                                      .dy = arrays.normal<T>(count),
                                      .x = arrays.normal<T>(count),
                                      .count = count,
                                      .kind = kind};
  return {.bytes = static_cast<double>(3 * count * static_cast<int64_t>(sizeof(T))),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::gelu_backward(args, stream); }};
}

template <class T>
void add(std::vector<Case>& list, const char* type, GeluKind kind, int64_t rows, int64_t columns) {
  const char* name = kind == GeluKind::Exact ? "exact" : "tanh";
  list.push_back({fmt::format("gelu_forward {} {} {}x{}", name, type, rows, columns),
                  [=](Arrays& arrays) { return forward<T>(arrays, rows * columns, kind); }});
  list.push_back({fmt::format("gelu_backward {} {} {}x{}", name, type, rows, columns),
                  [=](Arrays& arrays) { return backward<T>(arrays, rows * columns, kind); }});
}

}  // namespace

// The feed-forward rows of GPT-2 small and medium.
std::vector<Case> cases() {
  std::vector<Case> list;
  add<bf16>(list, "bf16", GeluKind::Tanh, 16384, 4096);
  add<bf16>(list, "bf16", GeluKind::Exact, 16384, 4096);
  add<bf16>(list, "bf16", GeluKind::Tanh, 16384, 3072);
  add<float>(list, "f32", GeluKind::Tanh, 16384, 3072);
  return list;
}

}  // namespace prospect::bench
