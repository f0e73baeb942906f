#include "tests/emulator/device.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace prospect::emulator {
namespace {

/// A kernel that writes the number of the target that its PTX is for.
std::string ptx_for(const std::string& target, int number) {
  return fmt::format(R"(
.version 9.0
.target {}
.address_size 64
.visible .entry which(.param .u64 p_out)
{{
.reg .b64 %out;
ld.param.u64 %out, [p_out];
st.global.u32 [%out], {};
ret;
}}
)",
                     target, number);
}

/// What the kernel writes on a device of compute capability target / 10, or why it does not.
std::string which(int target, std::vector<std::string> texts) {
  static const char host_function = 0;
  Device device;
  device.options.target = target;
  device.add_kernel(&host_function, device.add_module(std::move(texts)), "which");
  void* out = device.memory.allocate(4);
  void* arguments[] = {&out};
  if (!device.launch(&host_function, {}, arguments)) return device.report();
  uint32_t word;
  std::memcpy(&word, out, sizeof(word));
  return std::to_string(word);
}

TEST(Device, TakesTheNewestPtxThatItCanRun) {
  const std::string portable = ptx_for("sm_80", 80), hopper = ptx_for("sm_90a", 90);
  EXPECT_EQ(which(90, {portable, hopper}), "90");
  EXPECT_EQ(which(90, {hopper, portable}), "90");
  EXPECT_EQ(which(80, {portable, hopper}), "80");
  EXPECT_EQ(which(90, {portable}), "80");
  EXPECT_THAT(which(80, {hopper}),
              testing::HasSubstr("no PTX of which for a device of compute capability 8.0"));
}

}  // namespace
}  // namespace prospect::emulator
