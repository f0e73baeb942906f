#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace prospect {

/// How many parts parallel sums over rows are split into.
inline int thread_count() {
  return omp_get_max_threads();
}

/// The part [begin, end) of `count` items that block `index` of `blocks` owns.
struct Block {
  int64_t begin, end;
};
inline Block block_of(int64_t count, int64_t index, int64_t blocks) {
  const int64_t size = (count + blocks - 1) / blocks;
  return {std::min(count, index * size), std::min(count, (index + 1) * size)};
}

}  // namespace prospect
