// Planted mistakes are found, and named; their correct neighbours are not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/emulator/ptx_harness.h"

namespace prospect::emulator {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// What the checker says of a kernel: %w1 is the thread, %w4 its word of shared memory, %w5 that of the
/// thread `distance` further on (of 64).
std::string verdict(const std::string& body, int distance = 1, uint32_t threads = 64, uint32_t blocks = 1) {
  PtxHarness harness;
  harness.options.check = true;
  return harness.fault(fmt::format(R"(mov.u32 %w1, %tid.x;
mov.u32 %w2, dynamic;
shl.b32 %w3, %w1, 2;
add.u32 %w4, %w2, %w3;
add.u32 %w5, %w1, {};
and.b32 %w5, %w5, 63;
shl.b32 %w5, %w5, 2;
add.u32 %w5, %w5, %w2;
mad.wide.u32 %d1, %w1, 8, %out;
{})",
                                   distance, body),
                       threads, blocks);
}

const std::string kWrite = "\n.loc 1 11 0\nst.shared.b32 [%w4], %w1;\n",
                  kRead = "\n.loc 1 22 0\nld.shared.b32 %w7, [%w5];\n", kBarrier = "\nbar.sync 0;\n",
                  kWarpBarrier = "\nbar.warp.sync -1;\n";

TEST(Checker, ReadsAfterWritesNeedABarrier) {
  EXPECT_EQ(verdict(kWrite + kBarrier + kRead), "");
  EXPECT_THAT(verdict(kWrite + kRead),
              AllOf(HasSubstr("race: read after a write at shared address"), HasSubstr("test.cu:22"),
                    HasSubstr("test.cu:11"), HasSubstr("block (0,0,0) thread (0,0,0)"),
                    HasSubstr("thread (1,0,0) at")));
}

TEST(Checker, WritesAfterReadsNeedABarrier) {
  EXPECT_EQ(verdict(kWrite + kBarrier + kRead + kBarrier + kWrite), "");
  EXPECT_THAT(verdict(kWrite + kBarrier + kRead + kWrite), HasSubstr("race: write after a read"));
}

TEST(Checker, ManyReadersAreRemembered) {
  // All threads read the first word; the last one writes it.
  const std::string read = "\nst.shared.b32 [%w4], 0;\nbar.sync 0;\nld.shared.b32 %w7, [dynamic];\n",
                    write = "setp.eq.u32 %p1, %w1, 63;\n@%p1 st.shared.b32 [dynamic], 1;\n";
  EXPECT_EQ(verdict(read + kBarrier + write), "");
  EXPECT_THAT(verdict(read + write), HasSubstr("race: write after a read"));
}

TEST(Checker, TwoWritesToOnePlaceRace) {
  EXPECT_THAT(verdict("st.shared.b32 [dynamic], %w1;"), HasSubstr("race: two writes"));
  EXPECT_EQ(verdict("st.shared.b32 [%w4], 0;\nbar.sync 0;\nred.shared.add.u32 [dynamic], 1;"), "");
}

TEST(Checker, LanesOfAWarpNeedSyncwarpAndShufflesOrderNothing) {
  const std::string neighbour_in_warp =
      "\nand.b32 %w6, %w1, 32;\nxor.b32 %w8, %w1, 1;\nshl.b32 %w8, %w8, 2;\n"
      "add.u32 %w8, %w8, %w2;\nld.shared.b32 %w7, [%w8];\n";
  EXPECT_EQ(verdict(kWrite + kWarpBarrier + neighbour_in_warp), "");
  EXPECT_THAT(verdict(kWrite + neighbour_in_warp), HasSubstr("race: read after a write"));
  EXPECT_THAT(verdict(kWrite + "shfl.sync.bfly.b32 %w9, %w1, 1, 31, -1;\n" + neighbour_in_warp),
              HasSubstr("race: read after a write"));
  // bar.warp.sync orders a warp, not the block: thread 31 reads what thread 32 writes.
  EXPECT_THAT(verdict(kWrite + kBarrier + kWrite + kWarpBarrier + kRead), HasSubstr("race: "));
}

TEST(Checker, ArrivalsOrderWhatIsBeforeThemOnly) {
  const auto producer = [](const std::string& before, const std::string& after) {
    return verdict("setp.lt.u32 %p1, %w1, 32;\n@%p1 bra CONSUME;\n" + before + "bar.arrive 1, 64;\n" + after +
                   "bra DONE;\nCONSUME:\nbar.sync 1, 64;\nxor.b32 %w8, %w3, 128;\nadd.u32 %w8, %w8, %w2;\n"
                   "ld.shared.b32 %w7, [%w8];\nDONE:");
  };
  EXPECT_EQ(producer(kWrite, ""), "");
  EXPECT_THAT(producer("", kWrite), HasSubstr("race"));
}

TEST(Checker, BlocksMayMeetInAtomicsOnly) {
  EXPECT_EQ(verdict("red.global.add.u32 [%out], 1;", 1, 32, 3), "");
  EXPECT_THAT(verdict("setp.eq.u32 %p1, %w1, 0;\n@%p1 st.global.b32 [%out], 1;", 1, 32, 2),
              AllOf(HasSubstr("race: two writes at global"), HasSubstr("block (0,0,0) thread (0,0,0) at")));
  EXPECT_THAT(
      verdict("setp.eq.u32 %p1, %w1, 0;\n@%p1 ld.global.b32 %w7, [%out];\n@%p1 st.global.b32 [%out], 1;", 1,
              32, 2),
      HasSubstr("race: read after a write"));
  EXPECT_EQ(verdict("ld.global.b32 %w7, [%in];", 1, 32, 3), "");
}

TEST(Checker, WhatNobodyWroteIsNotRead) {
  EXPECT_THAT(verdict(kRead), HasSubstr("read of shared memory that nobody wrote"));
  PtxHarness harness;
  harness.options.check = true;
  harness.words_written = false;
  EXPECT_THAT(harness.fault("ld.global.b32 %w0, [%out];", 1),
              HasSubstr("read of global memory that nobody wrote"));
  EXPECT_EQ(harness.fault("st.global.b32 [%out], 1;\nld.global.b32 %w0, [%out];", 1), "");
}

TEST(Checker, CopiesAreReadBehindTheirWaitAndABarrier) {
  const std::string copy =
                        "mad.wide.u32 %d2, %w1, 4, %in;\ncp.async.ca.shared.global [%w4], [%d2], 4;\n"
                        "cp.async.commit_group;\n",
                    wait = "cp.async.wait_group 0;\n";
  EXPECT_EQ(verdict(copy + wait + kBarrier + kRead), "");
  EXPECT_THAT(verdict(copy + kBarrier + kRead + wait), HasSubstr("read of a cp.async that nobody awaited"));
  EXPECT_THAT(verdict(copy + wait + kRead), HasSubstr("race: read after a write"));
}

TEST(Checker, PartOfAWarpAtABarrierIsDivergence) {
  EXPECT_THAT(verdict("setp.lt.u32 %p1, %w1, 16;\n@%p1 bra SKIP;\n.loc 1 33 0\nbar.sync 0;\nSKIP:\n.loc 1 44 "
                      "0\nadd.u32 %w1, "
                      "%w1, 1;\nbar.sync 0;"),
              AllOf(HasSubstr("diverged barrier: lanes 0xffff0000"), HasSubstr("test.cu:33"),
                    HasSubstr("test.cu:44")));
}

}  // namespace
}  // namespace prospect::emulator
