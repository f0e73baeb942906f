#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <vector>

namespace prospect::test {

/// Tests that run kernels: skipped where there is no device.
class CudaTest : public testing::Test {
 protected:
  void SetUp() override {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) GTEST_SKIP() << "no CUDA device";
  }
};

/// An array in device memory. It begins `skip` elements behind a multiple of 256 bytes.
template <class T>
class DeviceBuffer {
 public:
  explicit DeviceBuffer(size_t count, size_t skip = 0) : count_(count), skip_(skip) {
    EXPECT_EQ(cudaMalloc(&base_, (count + skip) * sizeof(T)), cudaSuccess);
  }
  explicit DeviceBuffer(const std::vector<T>& values, size_t skip = 0) : DeviceBuffer(values.size(), skip) {
    EXPECT_EQ(cudaMemcpy(data(), values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
  }
  ~DeviceBuffer() { cudaFree(base_); }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  T* data() { return static_cast<T*>(base_) + skip_; }
  /// Waits for the device.
  std::vector<T> values() {
    std::vector<T> result(count_);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess) << cudaGetErrorString(cudaPeekAtLastError());
    EXPECT_EQ(cudaMemcpy(result.data(), data(), count_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return result;
  }

 private:
  void* base_ = nullptr;
  size_t count_, skip_;
};

}  // namespace prospect::test
