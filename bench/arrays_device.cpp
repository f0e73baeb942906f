// Arrays of bench/cases.h in a device's memory.
#include <algorithm>
#include <random>

#include "bench/cases.h"
#include "kernels/common/cuda_check.h"

namespace prospect::bench {

using kernels::cuda::check;

struct Arrays::State {
  std::vector<void*> owned;
};

Arrays::Arrays() : state_(std::make_unique<State>()) {}
Arrays::~Arrays() {
  for (void* array : state_->owned) cudaFree(array);
}

void* Arrays::allocate(size_t bytes, bool zeros) {
  void* array = nullptr;
  check(cudaMalloc(&array, bytes), "cudaMalloc");
  state_->owned.push_back(array);
  if (zeros) check(cudaMemset(array, 0, bytes), "cudaMemset");
  return array;
}
void Arrays::copy(void* to, const void* from, size_t bytes) {
  check(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
}

/// Numbers repeat after some megabytes, which no kernel can use.
template <class T>
T* Arrays::normal(int64_t count) {
  constexpr int64_t kPeriod = 4 << 20;
  T* array = empty<T>(count);
  std::vector<T> values(static_cast<size_t>(std::min(count, kPeriod)));
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (T& value : values) value = T(normal(random));
  copy(array, values.data(), values.size() * sizeof(T));
  for (int64_t done = static_cast<int64_t>(values.size()); done < count; done *= 2) {
    const auto bytes = static_cast<size_t>(std::min(done, count - done)) * sizeof(T);
    check(cudaMemcpy(array + done, array, bytes, cudaMemcpyDeviceToDevice), "cudaMemcpy");
  }
  return array;
}
template float* Arrays::normal(int64_t);
template bf16* Arrays::normal(int64_t);

}  // namespace prospect::bench
