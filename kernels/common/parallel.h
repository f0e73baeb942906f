#pragma once

#include <cstdint>

namespace prospect {

/// Calls body(i) for i in [0, count) on all threads, split into equal consecutive parts: the same thread
/// count gives the same split, so sums kept per part are repeatable.
template <class Body>
void parallel_for(int64_t count, const Body& body) {
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; ++i) body(i);
}

/// As parallel_for, for bodies of very different cost. Only for bodies that share nothing: which thread runs
/// an index is not repeatable.
template <class Body>
void parallel_for_dynamic(int64_t count, const Body& body) {
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t i = 0; i < count; ++i) body(i);
}

}  // namespace prospect
