#include <gtest/gtest.h>

#include <algorithm>

#include "tests/emulator/ptx_harness.h"

namespace prospect::emulator {
namespace {

/// The counts of the last instruction of `body`, in a warp; %w1 is the lane.
RequestCounts counts(const std::string& body) {
  PtxHarness harness;
  harness.options.count_requests = true;
  harness.run("mov.u32 %w1, %tid.x;\nmov.u32 %w2, dynamic;\n" + body, std::vector<uint64_t>(512),
              std::vector<uint64_t>(512), 32, 1, 8192);
  const auto& [global, shared] = harness.requests.at(harness.requests.size() - 2);  // before ret
  return global.requests > 0 ? global : shared;
}

std::string global(const std::string& type, int stride) {
  return fmt::format("mad.wide.u32 %d1, %w1, {}, %in;\nld.global.{}, [%d1];", stride, type);
}
std::string shared(const std::string& type, int stride) {
  return fmt::format("mad.lo.u32 %w3, %w1, {}, %w2;\nld.shared.{}, [%w3];", stride, type);
}

TEST(Requests, NeighboursShareSectors) {
  const RequestCounts words = counts(global("b32 %w4", 4));
  EXPECT_EQ(words.requests, 1u);
  EXPECT_EQ(words.lanes, 32u);
  EXPECT_EQ(words.units, 4u);
  EXPECT_EQ(words.least, 4u);
  EXPECT_EQ(counts(global("v4.b32 {%w4, %w5, %w6, %w7}", 16)).units, 16u);
  EXPECT_EQ(counts(global("b32 %w4", 0)).units, 1u);
}

TEST(Requests, StridesWasteSectors) {
  const RequestCounts strided = counts(global("b32 %w4", 64));
  EXPECT_EQ(strided.units, 32u);
  EXPECT_EQ(strided.least, 4u);
}

TEST(Requests, LanesThatMeetInABankTakeTurns) {
  EXPECT_EQ(counts(shared("b32 %w4", 4)).units, 1u);
  EXPECT_EQ(counts(shared("b32 %w4", 8)).units, 2u);
  EXPECT_EQ(counts(shared("b32 %w4", 128)).units, 32u);
  EXPECT_EQ(counts(shared("b32 %w4", 132)).units, 1u);
  EXPECT_EQ(counts(shared("b32 %w4", 0)).units, 1u);  // the same word for all
  EXPECT_EQ(counts(shared("v4.b32 {%w4, %w5, %w6, %w7}", 16)).units, 4u);
  EXPECT_EQ(counts(shared("v4.b32 {%w4, %w5, %w6, %w7}", 16)).least, 4u);
}

TEST(Requests, MatrixRowsTakeOneWavefrontEachEight) {
  const RequestCounts swizzled = counts(
      shared("b32 %w4", 16) + "\nldmatrix.sync.aligned.m8n8.x4.shared.b16 {%w4, %w5, %w6, %w7}, [%w3];");
  EXPECT_EQ(swizzled.units, 4u);
  const RequestCounts plain = counts(
      shared("b32 %w4", 128) + "\nldmatrix.sync.aligned.m8n8.x4.shared.b16 {%w4, %w5, %w6, %w7}, [%w3];");
  EXPECT_EQ(plain.units, 32u);
  EXPECT_EQ(plain.least, 4u);
}

TEST(Requests, CopiesCountInBothMemories) {
  PtxHarness harness;
  harness.options.count_requests = true;
  harness.run(R"(mov.u32 %w1, %tid.x;
mov.u32 %w2, dynamic;
mad.lo.u32 %w3, %w1, 16, %w2;
mad.wide.u32 %d1, %w1, 16, %in;
cp.async.cg.shared.global [%w3], [%d1], 16;
cp.async.commit_group;
cp.async.wait_group 0;)",
              std::vector<uint64_t>(64), std::vector<uint64_t>(64), 32, 1, 512);
  const auto copy = std::find_if(harness.requests.begin(), harness.requests.end(),
                                 [](const InstructionRequests& each) { return each.shared.requests > 0; });
  ASSERT_NE(copy, harness.requests.end());
  EXPECT_EQ(copy->global.units, 16u);
  EXPECT_EQ(copy->shared.units, 4u);
}

/// The traffic of the input and of the output when two blocks of 32 threads run `body`.
std::pair<Traffic::Sectors, Traffic::Sectors> traffic(const std::string& body) {
  PtxHarness harness;
  harness.options.count_requests = true;
  harness.run("mov.u32 %w1, %tid.x;\nmov.u32 %w2, %ctaid.x;\n" + body, std::vector<uint64_t>(512),
              std::vector<uint64_t>(512), 32, 2);
  std::pair<Traffic::Sectors, Traffic::Sectors> result;
  for (const auto& [use, sectors] : harness.traffic.uses) {
    (use.is_written ? result.second : result.first) = sectors;
  }
  return result;
}

TEST(Requests, TrafficTellsWhatABlockReadsTwiceFromWhatEveryBlockReads) {
  const auto [once, nothing] = traffic("mad.wide.u32 %d1, %w1, 4, %in;\nld.global.b32 %w4, [%d1];");
  EXPECT_EQ(once.requested, 8u);  // 4 sectors in each of two blocks
  EXPECT_EQ(once.distinct, 8u);
  EXPECT_EQ(nothing.requested, 0u);
  const auto [twice, none] =
      traffic("mad.wide.u32 %d1, %w1, 4, %in;\nld.global.b32 %w4, [%d1];\nld.global.b32 %w5, [%d1];");
  EXPECT_EQ(twice.requested, 16u);
  EXPECT_EQ(twice.distinct, 8u);
  const auto [read, written] = traffic(
      "mad.lo.u32 %w3, %w2, 32, %w1;\nmad.wide.u32 %d1, %w3, 4, %out;\n"
      "red.global.add.u32 [%d1], 1;\nst.global.b32 [%d1], %w1;");
  EXPECT_EQ(read.requested, 8u);
  EXPECT_EQ(written.requested, 16u);
  EXPECT_EQ(written.distinct, 8u);
}

TEST(Requests, ASampleOfBlocksLiesEvenlyInTheGrid) {
  PtxHarness harness;
  harness.options.sample_blocks = true;
  // Each block adds its number to the first word, and one to the second.
  const std::string body = R"(mov.u32 %w1, %ctaid.x;
red.global.add.u32 [%out], %w1;
red.global.add.u32 [%out+8], 1;)";
  for (const uint32_t blocks : {1u, 3u, 33u, 34u, 65u, 1001u}) {
    const auto words = harness.run(body, std::vector<uint64_t>(2), std::vector<uint64_t>(1), 1, blocks);
    EXPECT_EQ(words[1], std::min(blocks, 33u));
    EXPECT_EQ(harness.blocks_run, words[1]);
    // Their mean is the grid's, but for the half that an odd sample of an even grid cannot have.
    EXPECT_NEAR(static_cast<double>(2 * words[0]), static_cast<double>(words[1] * (blocks - 1)), 1);
  }
}

TEST(Requests, GuardedInstructionsAreIssuedToNoLane) {
  PtxHarness harness;
  harness.run("setp.ne.u32 %p1, 0, 0;\n@%p1 mov.u32 %w1, 1;", std::vector<uint64_t>(1),
              std::vector<uint64_t>(1), 64);
  const Launch::Executions& guarded = harness.executed.at(harness.executed.size() - 2);
  EXPECT_EQ(guarded.warps, 2u);
  EXPECT_EQ(guarded.lanes, 0u);
}

TEST(DeviceMemory, LargeAllocationsCostWhatIsUsedOfThem) {
  DeviceMemory memory;
  constexpr size_t kBytes = size_t{40} << 30;  // more than a machine that runs tests has
  auto* bytes = static_cast<unsigned char*>(memory.allocate(kBytes));
  ASSERT_NE(bytes, nullptr);
  EXPECT_EQ(bytes[kBytes - 1], 0xff);
  bytes[kBytes / 2] = 1;
  EXPECT_EQ(bytes[kBytes / 2 - 1], 0xff);
  EXPECT_EQ(bytes[kBytes / 2 + (4 << 20)], 0xff);  // the filling itself stays
  EXPECT_TRUE(memory.release(bytes));
}

TEST(DeviceMemory, AFillingRepeats) {
  DeviceMemory memory;
  std::vector<std::byte> pages(8192);
  pages[8191] = std::byte{7};
  const Filling filling(pages);
  auto* bytes = static_cast<unsigned char*>(memory.allocate(20000, filling));
  EXPECT_EQ(bytes[8191], 7);
  EXPECT_EQ(bytes[16383], 7);
  EXPECT_EQ(bytes[16384], 0);
}

}  // namespace
}  // namespace prospect::emulator
