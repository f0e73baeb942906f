#pragma once

#include <omp.h>

namespace prospect::test {

/// While one lives, parallel loops and products that this thread begins run on it alone.
class OneThread {
 public:
  OneThread() { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  const int before_ = omp_get_max_threads();
};

}  // namespace prospect::test
