// The planted-bug suite: kernels as nvcc compiles them, clean and with one mistake each. The clean ones are
// right in every order and the checker is silent; each mistake is found by the check that is named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/emulator/device.h"
#include "tests/emulator/kernels/grid_sum.h"
#include "tests/support/device_buffer.h"

namespace prospect::emulator::planted {
namespace {

using test::DeviceBuffer;
using testing::AllOf;
using testing::HasSubstr;

/// The report of what `run` launches, in each order and then checked.
template <class Run>
std::string unchecked_report(const Run& run, Order order, uint64_t seed = 1) {
  Options& options = Device::instance().options;
  const Options before = options;
  options.order = order;
  options.seed = seed << 32;
  run();
  options = before;
  return Device::instance().take_report();
}
template <class Run>
std::string checked_report(const Run& run) {
  Options& options = Device::instance().options;
  options.check = true;
  run();
  options.check = false;
  return Device::instance().take_report();
}

template <class Run>
void expect_clean(const Run& run) {
  for (const Order order : {Order::Forward, Order::Reverse, Order::Random, Order::Priority}) {
    EXPECT_EQ(unchecked_report(run, order), "");
  }
  EXPECT_EQ(checked_report(run), "");
}

class GridSum : public testing::Test {
 protected:
  static constexpr int kCount = 700;

  static std::vector<float> input() {
    std::vector<float> x(kCount);
    std::iota(x.begin(), x.end(), 1.0f);  // all sums are exact
    return x;
  }

  static void cooperative(GridSumBug bug) {
    DeviceBuffer<float> x(input()), parts(std::vector<float>(kGridSumBlocks, 0)), total(kGridSumBlocks);
    cooperative_sum(x.data(), kCount, parts.data(), total.data(), bug);
    if (bug != GridSumBug::None) return;
    for (const float sum : total.values()) EXPECT_EQ(sum, 245350);
  }
  static void last_block(GridSumBug bug) {
    DeviceBuffer<float> x(input()), parts(std::vector<float>(kGridSumBlocks, 0)),
        total(std::vector<float>{0});
    DeviceBuffer<unsigned> done(std::vector<unsigned>{0});
    last_block_sum(x.data(), kCount, parts.data(), done.data(), total.data(), bug);
    if (bug != GridSumBug::None) return;
    EXPECT_EQ(total.values()[0], 245350);
    EXPECT_EQ(done.values()[0], 0u);
  }
};

TEST_F(GridSum, IsRightAndCleanWithAGridBarrier) {
  expect_clean([] { cooperative(GridSumBug::None); });
}

TEST_F(GridSum, IsRightAndCleanWhenTheLastBlockAdds) {
  expect_clean([] { last_block(GridSumBug::None); });
}

TEST_F(GridSum, NeedsTheGridBarrier) {
  EXPECT_THAT(checked_report([] { cooperative(GridSumBug::NoGridBarrier); }),
              AllOf(HasSubstr("race: "), HasSubstr("global"), HasSubstr("grid_sum.cu")));
}

TEST_F(GridSum, NeedsFencesAroundTheCount) {
  EXPECT_THAT(checked_report([] { last_block(GridSumBug::NoFence); }), HasSubstr("race: read after a write"));
  EXPECT_THAT(checked_report([] { last_block(GridSumBug::NoFenceBehind); }),
              HasSubstr("race: read after a write"));
}

TEST_F(GridSum, NeedsAtomicsWhereBlocksMeet) {
  EXPECT_THAT(checked_report([] { last_block(GridSumBug::NoAtomic); }),
              AllOf(HasSubstr("race: "), HasSubstr("block (0,0,0)")));
}

/// A shared-memory race, an access out of bounds and a diverged barrier: the reports name everything.
TEST_F(GridSum, ReportsNameKernelLineBlockThreadsAndAddress) {
  const auto place = AllOf(HasSubstr("kernel void prospect::emulator::planted"), HasSubstr("_sum_kernel<"),
                           HasSubstr("grid_sum.cu:"), HasSubstr("block ("), HasSubstr("thread ("));
  EXPECT_THAT(checked_report([] { cooperative(GridSumBug::NoBarrierForReuse); }),
              AllOf(place, HasSubstr("race: write after a read at shared address 0x"),
                    HasSubstr("before by block (0,0,0) thread ("), HasSubstr("ld.shared.f32"),
                    HasSubstr("st.shared.f32")));
  EXPECT_THAT(unchecked_report([] { last_block(GridSumBug::BehindTheEnd); }, Order::Forward),
              AllOf(place, HasSubstr("global read out of bounds: 4 bytes at 0x"),
                    HasSubstr("2800 behind the start of 2800 bytes"), HasSubstr("ld.global")));
  EXPECT_THAT(checked_report([] { last_block(GridSumBug::EarlyBarrier); }),
              AllOf(place, HasSubstr("diverged")));
}

}  // namespace
}  // namespace prospect::emulator::planted
