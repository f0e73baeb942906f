#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/common/vector.h"

/// Panels of matmul_blocked(): parts of a and b in the order in which a tile of y reads them; host code only.
namespace prospect::kernels::cpu {

/// An operand as lines of terms: the rows of op(a), the columns of op(b).
template <class T>
struct Lines {
  const T* data;
  int64_t line_stride, term_stride;

  const T* at(int64_t line, int64_t term) const { return data + line * line_stride + term * term_stride; }
  Lines from(int64_t line, int64_t term) const { return {at(line, term), line_stride, term_stride}; }
};

/// Rows become columns.
[[gnu::always_inline]] inline void transpose(Vector<float> (&m)[8]) {
  Vector<float> pairs[8], fours[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = __builtin_shufflevector(m[i], m[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    pairs[i + 1] = __builtin_shufflevector(m[i], m[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const int first = i / 2 * 4 + i % 2;
    fours[2 * i] = __builtin_shufflevector(pairs[first], pairs[first + 2], 0, 1, 8, 9, 4, 5, 12, 13);
    fours[2 * i + 1] = __builtin_shufflevector(pairs[first], pairs[first + 2], 2, 3, 10, 11, 6, 7, 14, 15);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    m[i] = __builtin_shufflevector(fours[i], fours[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    m[i + 4] = __builtin_shufflevector(fours[i], fours[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

/// Packs 8 terms that lie side by side. Where kCount is no multiple of 8, it writes where the 9th comes too.
template <int64_t kCount>
void pack_side_by_side(float* packed, const Lines<float>& lines) {
  for (int64_t group = 0; group < kCount; group += 8) {
    Vector<float> block[8];
#pragma GCC unroll 8
    for (int64_t i = 0; i < 8; ++i) block[i] = load_vector(lines.at(std::min(group + i, kCount - 1), 0));
    transpose(block);
#pragma GCC unroll 8
    for (int64_t i = 0; i < 8; ++i) store_vector(packed + i * kCount + group, block[i]);
  }
}

/// packed[term][kCount] = `count` lines, then zeros.
template <int64_t kCount, class T>
void pack_panel(T* packed, const Lines<T>& lines, int64_t count, int64_t depth) {
  int64_t term = 0;
  if (count == kCount && lines.line_stride == 1) {
    for (; term < depth; ++term) std::memcpy(packed + term * kCount, lines.at(0, term), kCount * sizeof(T));
  }
  if constexpr (std::is_same_v<T, float>) {
    if (count == kCount && lines.term_stride == 1) {
      for (; term + 8 < depth; term += 8) {
        pack_side_by_side<kCount>(packed + term * kCount, lines.from(0, term));
      }
    }
  }
  for (; term < depth; ++term) {
    for (int64_t line = 0; line < kCount; ++line) {
      packed[term * kCount + line] = line < count ? *lines.at(line, term) : T{0};
    }
  }
}

/// Panels of kCount lines, one after another, each as pack_panel() makes it.
template <int64_t kCount, class T>
void pack_panels(T* packed, const Lines<T>& lines, int64_t count, int64_t depth) {
  int64_t line = 0;
  if (lines.line_stride == 1) {  // read as it lies: all lines of a term, then the next term
    const int64_t whole = count - count % kCount;
    for (int64_t term = 0; term < depth; ++term) {
      for (line = 0; line < whole; line += kCount) {
        std::memcpy(packed + line * depth + term * kCount, lines.at(line, term), kCount * sizeof(T));
      }
    }
    line = whole;
  }
  for (; line < count; line += kCount) {
    pack_panel<kCount>(packed + line * depth, lines.from(line, 0), std::min(kCount, count - line), depth);
  }
}

/// Asks for part `part` of `parts` of a panel, so that packing finds it in the cache.
template <int64_t kCount, class T>
void prefetch_panel(const Lines<T>& lines, int64_t depth, int64_t part, int64_t parts) {
  for (int64_t i = depth * part / parts; i < depth * (part + 1) / parts; ++i) {
    const int64_t line = i % kCount, term = i - line;
    __builtin_prefetch(lines.term_stride == 1 ? lines.at(line, term) : lines.at(0, i));
  }
}

}  // namespace prospect::kernels::cpu
