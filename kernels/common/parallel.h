#pragma once

#include <algorithm>
#include <cstdint>

namespace prospect {

/// Calls body(i) for i in [0, count) on all threads, split into equal consecutive parts: the same thread
/// count gives the same split, so sums kept per part are repeatable.
template <class Body>
void parallel_for(int64_t count, const Body& body) {
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; ++i) body(i);
}

/// Elements that one call of for_parts' body handles: a few operands of that length fit the L2 cache.
inline constexpr int64_t kPartElements = 8192;

/// Calls body(begin, count) for consecutive parts of [0, count), whose bounds do not depend on the threads.
template <class Body>
void for_parts(int64_t count, const Body& body) {
  parallel_for((count + kPartElements - 1) / kPartElements, [&](int64_t part) {
    const int64_t begin = part * kPartElements;
    body(begin, std::min(kPartElements, count - begin));
  });
}

/// As parallel_for, for bodies of very different cost. Only for bodies that share nothing: which thread runs
/// an index is not repeatable.
template <class Body>
void parallel_for_dynamic(int64_t count, const Body& body) {
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t i = 0; i < count; ++i) body(i);
}

}  // namespace prospect
