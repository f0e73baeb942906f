#include <fmt/format.h>

#include <cmath>

#include "bench/cases.h"
#include "kernels/rotary/rotary.h"

namespace prospect::bench {
namespace {

struct Heads {
  int64_t queries, keys, size;
  int64_t columns() const { return (queries + 2 * keys) * size; }
};

template <class T>
kernels::RotaryRows<T> rows(Arrays& arrays, int64_t tokens, const Heads& heads) {
  std::vector<int32_t> positions;
  for (int64_t i = 0; i < tokens; ++i) positions.push_back(static_cast<int32_t>(i % 512));
  std::vector<double> frequencies;
  for (int64_t i = 0; i < heads.size / 2; ++i) {
    frequencies.push_back(
        std::pow(10'000.0, -2.0 * static_cast<double>(i) / static_cast<double>(heads.size)));
  }
  return {.scratch = nullptr,
          .positions = arrays.given(positions),
          .inverse_frequencies = arrays.given(frequencies),
          .tokens = tokens,
          .heads = heads.queries,
          .kv_heads = heads.keys,
          .head_dim = heads.size};
}

/// Rows are read and written, positions and frequencies read.
template <class T>
double bytes(int64_t tokens, const Heads& heads) {
  const int64_t of_rows = 2 * tokens * heads.columns() * static_cast<int64_t>(sizeof(T));
  return static_cast<double>(of_rows + 4 * tokens + 8 * heads.size / 2);
}

template <class T>
Work forward(Arrays& arrays, int64_t tokens, const Heads& heads) {
  const kernels::RotaryForward<T> args{.y = arrays.empty<T>(tokens * heads.columns()),
                                       .x = arrays.normal<T>(tokens * heads.columns()),
                                       .rows = rows<T>(arrays, tokens, heads)};
  return {.bytes = bytes<T>(tokens, heads),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::rotary_forward(args, stream); }};
}

template <class T>
Work backward(Arrays& arrays, int64_t tokens, const Heads& heads) {
  const kernels::RotaryBackward<T> args{.dx = arrays.empty<T>(tokens * heads.columns()),
                                        .dx_mode = GradMode::Overwrite,
                                        .dy = arrays.normal<T>(tokens * heads.columns()),
                                        .rows = rows<T>(arrays, tokens, heads)};
  return {.bytes = bytes<T>(tokens, heads),
          .run = [=](kernels::cuda::Stream stream) { kernels::cuda::rotary_backward(args, stream); }};
}

template <class T>
void add(std::vector<Case>& list, const char* type, int64_t tokens, const Heads& heads) {
  const auto shape =
      fmt::format("{} {} heads {}/{} of {}", type, tokens, heads.queries, heads.keys, heads.size);
  list.push_back({"rotary_forward " + shape, [=](Arrays& a) { return forward<T>(a, tokens, heads); }});
  list.push_back({"rotary_backward " + shape, [=](Arrays& a) { return backward<T>(a, tokens, heads); }});
}

}  // namespace

// The heads of Llama 3 8B and of Qwen2 0.5B.
std::vector<Case> cases() {
  std::vector<Case> list;
  add<bf16>(list, "bf16", 16384, {32, 8, 128});
  add<bf16>(list, "bf16", 16384, {14, 2, 64});
  add<float>(list, "f32", 16384, {14, 2, 64});
  return list;
}

}  // namespace prospect::bench
