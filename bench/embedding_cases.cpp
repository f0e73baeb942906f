#include <fmt/format.h>

#include "bench/cases.h"
#include "kernels/embedding/embedding.h"

namespace prospect::bench {
namespace {

/// Every id that occurs does so `each` times, far apart.
std::vector<int32_t> make_ids(int64_t tokens, int64_t table_rows, int64_t each) {
  std::vector<int32_t> ids;
  const int64_t distinct = tokens / each;
  for (int64_t i = 0; i < tokens; ++i) {
    ids.push_back(static_cast<int32_t>(i * 1021 % distinct * (table_rows / distinct)));
  }
  return ids;
}

/// Every token has a row of its own, so that what must be read does not depend on what caches keep.
template <class T>
Work forward(Arrays& arrays, int64_t tokens, int64_t columns, int64_t table_rows) {
  const kernels::EmbeddingForward<T> args{.y = arrays.empty<T>(tokens * columns),
                                          .table = arrays.normal<T>(table_rows * columns),
                                          .ids = arrays.given(make_ids(tokens, table_rows, 1)),
                                          .tokens = tokens,
                                          .columns = columns};
  return {.bytes = static_cast<double>(2 * tokens * columns * static_cast<int64_t>(sizeof(T)) + 4 * tokens),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::embedding_forward(args, stream); }};
}

/// Every token's gradient is read, distinct rows, of four tokens each, are read and written.
template <class T>
Work backward(Arrays& arrays, int64_t tokens, int64_t columns, int64_t table_rows) {
  const std::vector<int32_t> ids = make_ids(tokens, table_rows, 4);
  std::vector<int32_t> order(ids.size()), starts(ids.size() + 1);
  const int64_t runs = kernels::cpu::embedding_order(ids.data(), tokens, order.data(), starts.data());
  const kernels::EmbeddingBackward<T> args{.dtable = arrays.normal<T>(table_rows * columns),
                                           .dtable_mode = GradMode::Accumulate,
                                           .dy = arrays.normal<T>(tokens * columns),
                                           .ids = arrays.given(ids),
                                           .order = arrays.given(order),
                                           .starts = arrays.given(starts),
                                           .runs = runs,
                                           .columns = columns,
                                           .table_rows = table_rows};
  const int64_t rows = tokens + 2 * runs;
  return {.bytes =
              static_cast<double>(rows * columns * static_cast<int64_t>(sizeof(T)) + 4 * (tokens + 2 * runs)),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::embedding_backward(args, stream); }};
}

template <class T>
void add(std::vector<Case>& list, const char* type, int64_t tokens, int64_t columns, int64_t table_rows) {
  const auto shape = fmt::format("{} {} of {}x{}", type, tokens, table_rows, columns);
  list.push_back({"embedding_forward " + shape,
                  [=](Arrays& arrays) { return forward<T>(arrays, tokens, columns, table_rows); }});
  list.push_back({"embedding_backward " + shape,
                  [=](Arrays& arrays) { return backward<T>(arrays, tokens, columns, table_rows); }});
}

}  // namespace

// Llama 3's table, and GPT-2's.
std::vector<Case> cases() {
  std::vector<Case> list;
  add<bf16>(list, "bf16", 16384, 4096, 128256);
  add<bf16>(list, "bf16", 16384, 768, 50257);
  add<float>(list, "f32", 16384, 768, 50257);
  return list;
}

}  // namespace prospect::bench
