#include <fmt/format.h>

#include "bench/cases.h"
#include "kernels/head/head.h"
#include "kernels/matmul/matmul.h"

namespace prospect::bench {
namespace {

/// Equal sequences; one chunk holds all rows, so that nothing is computed twice.
struct Shape {
  int64_t sequences, length, columns, vocabulary;

  int64_t rows() const { return sequences * length; }
  std::string name() const { return fmt::format("{}x{} of {}x{}", sequences, length, vocabulary, columns); }
};

/// Training: log-probabilities, the objective, and both gradients.
template <class T>
Work head(Arrays& arrays, const Shape& shape) {
  const int64_t rows = shape.rows(), sequences = shape.sequences,
                chunk_bytes =
                    rows * (shape.vocabulary + 16) * static_cast<int64_t>(sizeof(float) + sizeof(T));
  const auto host_offsets = std::make_shared<std::vector<int32_t>>();
  for (int64_t s = 0; s <= sequences; ++s) host_offsets->push_back(static_cast<int32_t>(s * shape.length));
  const kernels::HeadForward<T> args{.loss = arrays.empty<double>(1),
                                     .log_probabilities = arrays.empty<float>(rows),
                                     .log_ratios = arrays.empty<double>(sequences),
                                     .values = arrays.empty<double>(sequences),
                                     .slopes = arrays.empty<double>(sequences),
                                     .entropy_sums = arrays.empty<double>(sequences),
                                     .logit_sums = arrays.empty<double>(sequences),
                                     .dhidden = arrays.empty<T>(rows * shape.columns),
                                     .dweight = arrays.empty<T>(shape.vocabulary * shape.columns),
                                     .dweight_mode = GradMode::Overwrite,
                                     .scratch = arrays.empty<std::byte>(kernels::cuda::head_scratch_bytes<T>(
                                         rows, shape.columns, shape.vocabulary, chunk_bytes)),
                                     .hidden = arrays.normal<T>(rows * shape.columns),
                                     .weight = arrays.normal<T>(shape.vocabulary * shape.columns),
                                     .targets = arrays.zeros<int32_t>(rows),
                                     .offsets = arrays.given(*host_offsets),
                                     .host_offsets = host_offsets->data(),
                                     .reference = arrays.normal<float>(rows),
                                     .labels = nullptr,
                                     .z0 = nullptr,
                                     .shares = nullptr,
                                     .given_slopes = nullptr,
                                     .objective = {},
                                     .rows = rows,
                                     .columns = shape.columns,
                                     .vocabulary = shape.vocabulary,
                                     .sequences = sequences,
                                     .chunk_bytes = chunk_bytes};
  const auto library = std::make_shared<kernels::cuda::MatmulLibrary>();
  const int64_t matrices = 2 * (rows + shape.vocabulary) * shape.columns;
  return {
      .bytes = static_cast<double>(matrices * static_cast<int64_t>(sizeof(T)) + rows * 12 + sequences * 40),
      .flops = 6.0 * static_cast<double>(rows * shape.vocabulary) * static_cast<double>(shape.columns),
      .in_bf16 = sizeof(T) == 2,
      .run = [=](kernels::cuda::Stream stream) {
        static_cast<void>(host_offsets);  // args point into it
        kernels::cuda::head_forward(args, *library, stream);
      }};
}

}  // namespace

// A chunk of Llama 2's vocabulary.
std::vector<Case> cases() {
  const Shape shape{4, 256, 1024, 32000};
  return {{"head bf16 " + shape.name(), [=](Arrays& arrays) { return head<bf16>(arrays, shape); }}};
}

}  // namespace prospect::bench
