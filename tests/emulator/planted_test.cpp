// The planted-bug suite: kernels as nvcc compiles them, clean and with one mistake each. The clean ones are
// right in every order and the checker is silent; each mistake is found by the check that is named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <regex>

#include "engine/files.h"
#include "tests/emulator/device.h"
#include "tests/emulator/kernels/cluster_sum.h"
#include "tests/emulator/kernels/grid_sum.h"
#include "tests/emulator/kernels/wgmma_product.h"
#include "tests/support/device_case.h"

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
std::string checked_report(const Run& run, Order order = Order::Forward) {
  Options& options = Device::instance().options;
  options.check = true;
  options.order = order;
  run();
  options.check = false;
  options.order = Order::Forward;
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

/// Without what differs from run to run and from compiler to compiler: addresses of global memory, registers,
/// symbols, lines of CUDA's own headers.
std::string essence(std::string text) {
  for (const auto& [pattern, word] : {std::pair<const char*, const char*>{"0x[0-9a-f]{9,}", "ADDRESS"},
                                      {"%[a-z]+[0-9]+", "REGISTER"},
                                      {"_Z[A-Za-z0-9_]+", "SYMBOL"},
                                      {"\\.hpp:[0-9]+", ".hpp"}}) {
    text = std::regex_replace(text, std::regex(pattern), word);
  }
  return text;
}

/// A shared-memory race, an access out of bounds and a diverged barrier: the reports name everything, and the
/// README shows them as they are.
TEST_F(GridSum, ReportsNameKernelLineBlockThreadsAndAddress) {
  const auto place = AllOf(HasSubstr("kernel void prospect::emulator::planted"), HasSubstr("_sum_kernel<"),
                           HasSubstr("grid_sum.cu:"), HasSubstr("block ("), HasSubstr("thread ("));
  const std::string race = checked_report([] { cooperative(GridSumBug::NoBarrierForReuse); }),
                    outside = unchecked_report([] { last_block(GridSumBug::BehindTheEnd); }, Order::Forward),
                    diverged = checked_report([] { last_block(GridSumBug::EarlyBarrier); });
  EXPECT_THAT(race, AllOf(place, HasSubstr("race: write after a read at shared address 0x"),
                          HasSubstr("before by block (0,0,0) thread ("), HasSubstr("ld.shared.f32"),
                          HasSubstr("st.shared.f32")));
  EXPECT_THAT(outside, AllOf(place, HasSubstr("global read out of bounds: 4 bytes at 0x"),
                             HasSubstr("2800 behind the start of 2800 bytes"), HasSubstr("ld.global")));
  EXPECT_THAT(diverged, AllOf(place, HasSubstr("diverged barrier: lanes 0x"), HasSubstr("bar.sync")));
  const std::string readme = essence(read_text(PROSPECT_SOURCE_DIR "/tests/emulator/README.md"));
  for (const std::string& report : {race, outside, diverged}) {
    EXPECT_THAT(readme, HasSubstr("```\n" + essence(report) + "\n```"));
  }
}

class ClusterSum : public testing::Test {
 protected:
  static void sum(ClusterSumBug bug) {
    constexpr unsigned kClusters = 2, kValues = kClusterSumBlocks * kClusterSumThreads;
    std::vector<float> input(kClusters * kValues);
    std::iota(input.begin(), input.end(), 1.0f);
    DeviceBuffer<float> x(input), total(kClusters);
    cluster_sum(x.data(), kClusters, total.data(), bug);
    if (bug != ClusterSumBug::None) return;
    EXPECT_THAT(total.values(), testing::ElementsAre(256 * 257 / 2, 256 * 257 / 2 + 256 * 256));
  }
};

TEST_F(ClusterSum, IsRightAndClean) {
  expect_clean([] { sum(ClusterSumBug::None); });
}

TEST_F(ClusterSum, NeedsABarrierBeforeBetweenAndBehind) {
  EXPECT_THAT(checked_report([] { sum(ClusterSumBug::NoFirstBarrier); }), HasSubstr("may not have begun"));
  EXPECT_THAT(checked_report([] { sum(ClusterSumBug::NoSecondBarrier); }),
              HasSubstr("read of shared memory that nobody wrote"));
  EXPECT_THAT(checked_report([] { sum(ClusterSumBug::NoSecondBarrier); }, Order::Reverse),
              AllOf(HasSubstr("race: "), HasSubstr("shared"), HasSubstr("cluster_sum_hopper.cu")));
  EXPECT_THAT(checked_report([] { sum(ClusterSumBug::NoLastBarrier); }),
              HasSubstr("may still use its shared memory"));
}

class WgmmaProductTest : public testing::Test {
 protected:
  static void multiply(WgmmaBug bug) {
    constexpr int kM = 80, kN = 72, kK = 200;  // two tiles each way, four along k, all ragged
    const auto a = test::random_values<bf16>(kM * kK, 1), b = test::random_values<bf16>(kN * kK, 2);
    DeviceBuffer<bf16> device_a(a), device_b(b);
    DeviceBuffer<float> c(kM * kN);
    wgmma_product({device_a.data(), device_b.data(), c.data(), kM, kN, kK}, bug);
    if (bug != WgmmaBug::None) return;
    const std::vector<float> result = c.values();
    for (size_t row = 0; row < kM; ++row) {
      for (size_t column = 0; column < kN; ++column) {
        double sum = 0, magnitude = 0;
        for (size_t i = 0; i < kK; ++i) {
          const double product = double{load(a[row * kK + i])} * double{load(b[column * kK + i])};
          sum += product;
          magnitude += std::fabs(product);
        }
        // Products of bf16 are exact in float; each of kK additions rounds once.
        ASSERT_NEAR(result[row * kN + column], sum, kK * 0x1p-24 * magnitude) << row << " " << column;
      }
    }
  }
  static std::string checked(WgmmaBug bug) {
    return checked_report([=] { multiply(bug); });
  }
};

TEST_F(WgmmaProductTest, IsRightAndClean) {
  expect_clean([] { multiply(WgmmaBug::None); });
  for (uint64_t seed = 2; seed < 8; ++seed) {  // engines that are early, late and in between
    EXPECT_EQ(unchecked_report([] { multiply(WgmmaBug::None); }, Order::Priority, seed), "");
  }
}

TEST_F(WgmmaProductTest, NeedsItsWaits) {
  EXPECT_THAT(checked(WgmmaBug::NoFullWait), AllOf(HasSubstr("shared"), HasSubstr("wgmma.mma_async")));
  EXPECT_THAT(checked(WgmmaBug::NoEmptyWait), HasSubstr("1 arrivals at an mbarrier that expects 0 more"));
  EXPECT_THAT(checked(WgmmaBug::EarlyRelease),
              AllOf(HasSubstr("race: write after a read"), HasSubstr("asynchronously"),
                    HasSubstr("wgmma.mma_async"), HasSubstr("cp.async.bulk.tensor")));
  EXPECT_THAT(checked(WgmmaBug::NoProductWait), HasSubstr("before wgmma.wait_group"));
}

TEST_F(WgmmaProductTest, AnEarlyReleaseIsNotedWithoutShadowMemoryToo) {
  bool found = false;
  for (uint64_t seed = 1; seed < 9; ++seed) {
    const std::string report =
        unchecked_report([] { multiply(WgmmaBug::EarlyRelease); }, Order::Priority, seed);
    found = found || report.find("changed while wgmma read it") != std::string::npos;
  }
  EXPECT_TRUE(found);
}

TEST_F(WgmmaProductTest, NeedsItsFences) {
  EXPECT_THAT(checked(WgmmaBug::NoProductFence), HasSubstr("since the last wgmma.fence"));
  EXPECT_THAT(checked(WgmmaBug::NoInitFence), HasSubstr("no fence.mbarrier_init"));
  EXPECT_THAT(checked(WgmmaBug::NoProxyFence),
              AllOf(HasSubstr("missing fence.proxy.async: read after a write"), HasSubstr("st.shared"),
                    HasSubstr("cp.async.bulk.tensor")));
  EXPECT_THAT(checked(WgmmaBug::NoStoreBarrier), HasSubstr("race: read after a write"));
}

TEST_F(WgmmaProductTest, NeedsTheRightNumberOfBytes) {
  EXPECT_NE(checked(WgmmaBug::TooFewBytes), "");
  EXPECT_THAT(checked(WgmmaBug::TooManyBytes), AllOf(HasSubstr("deadlock"), HasSubstr("mbarrier.try_wait")));
}

TEST_F(WgmmaProductTest, DoesNotEndBeforeItsCopies) {
  EXPECT_THAT(unchecked_report([] { multiply(WgmmaBug::NoStoreWait); }, Order::Forward),
              HasSubstr("exits while bulk copies still read shared memory"));
}

TEST_F(WgmmaProductTest, NeedsTheSameProductsFromAllFourWarps) {
  EXPECT_THAT(checked(WgmmaBug::OneWarpIsAhead), HasSubstr("diverged warpgroup: warp 6"));
}

}  // namespace
}  // namespace prospect::emulator::planted
