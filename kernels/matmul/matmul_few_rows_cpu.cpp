#include <algorithm>
#include <type_traits>

#include "kernels/common/parallel.h"
#include "kernels/matmul/matmul_tile.h"
#include "kernels/matmul/matmul_ways.h"

namespace prospect::kernels::cpu {

namespace {

/// Vectors of columns at a time: a sum waits for its last term, so that two are needed to keep a core busy.
constexpr int64_t kVectors = 2;
template <class C>
constexpr int64_t kColumns = kLanes<C>* kVectors;

/// The sums of all rows and kColumns columns of y.
template <class C>
using RowSums = Vector<C>[kFewRows][kVectors];

/// sums[row] += the terms [begin, end) of each row of a and of the columns of b, one after another.
template <class T, class C = compute_t<T>>
void add_terms(const Matmul<T, C>& args, const T* const* columns, RowSums<C>& sums, int64_t begin,
               int64_t end) {
  constexpr int64_t kWidth = kLanes<C>;
  int64_t term = begin;
  for (; term + kWidth <= end; term += kWidth) {
    for (int64_t v = 0; v < kVectors; ++v) {
      Vector<C> square[kWidth];
      for (int64_t i = 0; i < kWidth; ++i) {
        const T* terms = columns[v * kWidth + i] + term;
        __builtin_prefetch(terms + kColumns<C> * args.ldb);
        square[i] = load_vector(terms);
      }
      transpose_square(square);
      for (int64_t row = 0; row < args.rows; ++row) {
        const Vector<C> a = load_vector(args.a + row * args.lda + term);
        for (int64_t i = 0; i < kWidth; ++i) sums[row][v] += a[i] * square[i];
      }
    }
  }
  for (; term < end; ++term) {
    for (int64_t v = 0; v < kVectors; ++v) {
      Vector<C> terms;
      for (int64_t i = 0; i < kWidth; ++i) terms[i] = load(columns[v * kWidth + i][term]);
      for (int64_t row = 0; row < args.rows; ++row) {
        sums[row][v] += load(args.a[row * args.lda + term]) * terms;
      }
    }
  }
}

}  // namespace

template <class T>
void matmul_few_rows(const Matmul<T, compute_t<T>>& args) {
  using C = compute_t<T>;
  const int64_t depth = Avx2Tile<T>::part(args.inner);
  parallel_for(parts(args.columns, kColumns<C>), [&](int64_t group) {
    const int64_t first = group * kColumns<C>, width = std::min(kColumns<C>, args.columns - first);
    const T* columns[kColumns<C>];  // beyond the last one that one again
    for (int64_t i = 0; i < kColumns<C>; ++i)
      columns[i] = args.b + (first + std::min(i, width - 1)) * args.ldb;
    // At least one pass, so that an empty sum gives 0.
    for (int64_t term = 0; term == 0 || term < args.inner; term += depth) {
      RowSums<C> sums = {};
      add_terms<T>(args, columns, sums, term, std::min(args.inner, term + depth));
      const bool add = term > 0 || args.y_mode == GradMode::Accumulate;
      for (int64_t row = 0; row < args.rows; ++row) {
        C* y = args.y + row * args.ldy + first;
        for (int64_t i = 0; i < width; ++i) {
          C sum = sums[row][i / kLanes<C>][i % kLanes<C>];
          if (args.bias && term == 0) sum += load(args.bias[first + i]);
          y[i] = add ? sum + y[i] : sum;
        }
      }
    }
  });
}

template void matmul_few_rows<float>(const Matmul<float>&);
template void matmul_few_rows<double>(const Matmul<double>&);
template void matmul_few_rows<bf16>(const Matmul<bf16, float>&);

}  // namespace prospect::kernels::cpu
