#pragma once

#include <algorithm>
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

/// packed[term][kCount] = kCount lines whose terms lie side by side, whole vectors of them but for the last;
/// gives the number of terms. A few lines at a time: the processor foresees what it reads of few streams.
template <int64_t kCount, class T>
int64_t pack_side_by_side(compute_t<T>* packed, const Lines<T>& lines, int64_t depth) {
  using C = compute_t<T>;
  constexpr int64_t kWidth = kLanes<C>;
  const int64_t whole = (std::max<int64_t>(depth, 1) - 1) / kWidth * kWidth;
  // Backwards, so that what a term's last vector has too much is overwritten by the next term's first.
  for (int64_t group = (kCount - 1) / kWidth * kWidth; group >= 0; group -= kWidth) {
    for (int64_t term = 0; term < whole; term += kWidth) {
      Vector<C> block[kWidth];
#pragma GCC unroll 8
      for (int64_t i = 0; i < kWidth; ++i) {
        block[i] = load_vector(lines.at(std::min(group + i, kCount - 1), term));
      }
      transpose_square(block);
#pragma GCC unroll 8
      for (int64_t i = 0; i < kWidth; ++i) store_vector(packed + (term + i) * kCount + group, block[i]);
    }
  }
  return whole;
}

/// One term of kCount lines that lie side by side.
template <int64_t kCount, class T>
void pack_term(compute_t<T>* packed, const T* lines) {
  for (int64_t i = 0; i < kCount; ++i) packed[i] = load(lines[i]);
}

/// packed[term][kCount] = `count` lines, then zeros.
template <int64_t kCount, class T>
void pack_panel(compute_t<T>* packed, const Lines<T>& lines, int64_t count, int64_t depth) {
  int64_t term = 0;
  if (count == kCount && lines.line_stride == 1) {
    for (; term < depth; ++term) pack_term<kCount>(packed + term * kCount, lines.at(0, term));
  } else if (count == kCount && lines.term_stride == 1) {
    term = pack_side_by_side<kCount>(packed, lines, depth);
  }
  for (; term < depth; ++term) {
    for (int64_t line = 0; line < kCount; ++line) {
      packed[term * kCount + line] = line < count ? load(*lines.at(line, term)) : 0;
    }
  }
}

/// Panels of kCount lines, one after another, each as pack_panel() makes it.
template <int64_t kCount, class T>
void pack_panels(compute_t<T>* packed, const Lines<T>& lines, int64_t count, int64_t depth) {
  int64_t line = 0;
  if (lines.line_stride == 1) {  // read as it lies: all lines of a term, then the next term
    const int64_t whole = count - count % kCount;
    for (int64_t term = 0; term < depth; ++term) {
      for (line = 0; line < whole; line += kCount) {
        pack_term<kCount>(packed + line * depth + term * kCount, lines.at(line, term));
      }
    }
    line = whole;
  }
  for (; line < count; line += kCount) {
    pack_panel<kCount>(packed + line * depth, lines.from(line, 0), std::min(kCount, count - line), depth);
  }
}

/// Asks for part `part` of `parts` of a panel, in the order of memory, so that packing finds it in the cache.
template <int64_t kCount, class T>
void prefetch_panel(const Lines<T>& lines, int64_t depth, int64_t part, int64_t parts) {
  constexpr int64_t kLine = 64 / int64_t{sizeof(T)};  // elements of a line of the cache
  const bool deep = lines.term_stride == 1;
  const int64_t inner = ((deep ? depth : kCount) + kLine - 1) / kLine,
                total = inner * (deep ? kCount : depth);
  for (int64_t i = total * part / parts; i < total * (part + 1) / parts; ++i) {
    const int64_t outer = i / inner, element = i % inner * kLine;
    __builtin_prefetch(deep ? lines.at(outer, element) : lines.at(element, outer), 0, 2);
  }
}

}  // namespace prospect::kernels::cpu
