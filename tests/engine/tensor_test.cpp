#include "engine/tensor.h"

#include <gtest/gtest.h>

namespace prospect::test {
namespace {

TEST(Tensor, RowsShareStorage) {
  const Tensor whole = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {3, 2}, Device::cpu());
  whole.rows(1, 2).data<float>()[0] = 30;
  EXPECT_EQ(to_doubles(whole), (std::vector<double>{1, 2, 30, 4, 5, 6}));
}

TEST(Tensor, RoundsToBfloatToNearestEven) {
  const Tensor x = Tensor::from(std::vector<float>{1.00390625f, 1.01171875f, -3.0f}, Device::cpu());
  EXPECT_EQ(to_doubles(convert(x, DType::BF16)), (std::vector<double>{1.0, 1.015625, -3.0}));
}

TEST(Device, ReusesFreedMemory) {
  const Device device = Device::cpu();
  for (int i = 0; i < 5; ++i) Tensor::empty({1000 + i}, DType::F32, device);
  EXPECT_EQ(device.memory_use().current_bytes, 0);
  EXPECT_LE(device.memory_use().held_bytes, 5000);
}

TEST(Device, RefusesMoreThanItsBudget) {
  const Device device = Device::cpu({.memory_budget_bytes = 1 << 20});
  const Tensor half = Tensor::empty({1 << 19}, DType::BF16, device);
  try {
    Tensor::empty({1 << 20}, DType::F32, device);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::BadConfig);
  }
}

}  // namespace
}  // namespace prospect::test
