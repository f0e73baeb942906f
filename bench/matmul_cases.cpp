#include <fmt/format.h>

#include "bench/cases.h"
#include "kernels/matmul/matmul.h"

namespace prospect::bench {
namespace {

using kernels::Matmul;
using kernels::cuda::MatmulLibrary;

struct Shape {
  int64_t rows, columns, inner;
  bool transpose_a = false, transpose_b = false;

  std::string name() const {
    return fmt::format("{}x{}x{}{}{}", rows, columns, inner, transpose_a ? " a^T" : "",
                       transpose_b ? " b^T" : "");
  }
};

template <class T, class Out>
Work product(Arrays& arrays, const Shape& shape) {
  const auto [rows, columns, inner, transpose_a, transpose_b] = shape;
  const Matmul<T, Out> args{.y = arrays.empty<Out>(rows * columns),
                            .scratch = arrays.empty<std::byte>(kernels::cuda::matmul_scratch_bytes()),
                            .a = arrays.normal<T>(rows * inner),
                            .b = arrays.normal<T>(inner * columns),
                            .rows = rows,
                            .columns = columns,
                            .inner = inner,
                            .lda = transpose_a ? rows : inner,
                            .ldb = transpose_b ? inner : columns,
                            .ldy = columns,
                            .transpose_a = transpose_a,
                            .transpose_b = transpose_b};
  const int64_t bytes = (rows + columns) * inner * static_cast<int64_t>(sizeof(T)) +
                        rows * columns * static_cast<int64_t>(sizeof(Out));
  const auto library = std::make_shared<MatmulLibrary>();
  return {
      .bytes = static_cast<double>(bytes),
      .flops = 2.0 * static_cast<double>(rows) * static_cast<double>(columns) * static_cast<double>(inner),
      .run = [=](kernels::cuda::Stream stream) { kernels::cuda::matmul_tiled(args, stream); },
      .peer = "cuda::matmul",
      .run_peer = [=](kernels::cuda::Stream stream) { kernels::cuda::matmul(args, *library, stream); }};
}

Work bias_backward(Arrays& arrays, int64_t rows, int64_t columns) {
  const kernels::MatmulBiasBackward<bf16> args{
      .dbias = arrays.empty<bf16>(columns),
      .dbias_mode = GradMode::Overwrite,
      .dy = arrays.normal<bf16>(rows * columns),
      .rows = rows,
      .columns = columns,
      .scratch = arrays.empty<float>(kernels::cuda::matmul_bias_backward_scratch_bytes(columns) / 4)};
  return {.bytes = static_cast<double>(2 * (rows + 1) * columns),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::matmul_bias_backward(args, stream); }};
}

template <class T, class Out>
void add(std::vector<Case>& list, const char* types, const Shape& shape) {
  list.push_back({fmt::format("matmul {} {}", types, shape.name()),
                  [=](Arrays& arrays) { return product<T, Out>(arrays, shape); }});
}

}  // namespace

// A square; forward, backward by inputs and by weights of a small model's layer; logits of a chunk.
std::vector<Case> cases() {
  std::vector<Case> list;
  add<bf16, bf16>(list, "bf16", {4096, 4096, 4096, false, true});
  add<bf16, bf16>(list, "bf16", {16384, 768, 3072, false, true});
  add<bf16, bf16>(list, "bf16", {16384, 3072, 768});
  add<bf16, float>(list, "bf16 to f32", {768, 3072, 16384, true, false});
  add<bf16, float>(list, "bf16 to f32", {2048, 32000, 4096, false, true});
  add<float, float>(list, "f32", {1024, 768, 768, false, true});
  list.push_back({"matmul_bias_backward bf16 16384x3072",
                  [](Arrays& arrays) { return bias_backward(arrays, 16384, 3072); }});
  return list;
}

}  // namespace prospect::bench
