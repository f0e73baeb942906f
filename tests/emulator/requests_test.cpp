#include <gtest/gtest.h>

#include "tests/emulator/ptx_harness.h"

namespace prospect::emulator {
namespace {

/// The counts of the last instruction of `body`, in a warp; %w1 is the lane.
RequestCounts counts(const std::string& body) {
  PtxHarness harness;
  harness.options.count_requests = true;
  harness.run("mov.u32 %w1, %tid.x;\nmov.u32 %w2, dynamic;\n" + body, std::vector<uint64_t>(512),
              std::vector<uint64_t>(512), 32, 1, 8192);
  return harness.requests.at(harness.requests.size() - 2);  // before ret
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

}  // namespace
}  // namespace prospect::emulator
