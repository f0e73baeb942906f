// What no kernel may do is reported with the place where it was done.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/emulator/ptx_harness.h"

namespace prospect::emulator {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::string kThread = "mov.u32 %w1, %tid.x;\n";

TEST(Fault, AnUnknownInstructionIsNamedWithItsTextAndLine) {
  PtxHarness harness;
  EXPECT_THAT(harness.fault("frobnicate.b32 %w0, %w1;", 1),
              AllOf(HasSubstr("frobnicate.b32 %w0, %w1"), HasSubstr("test.cu:7"), HasSubstr("kernel")));
  EXPECT_THAT(harness.fault("add.s32 %w0, %w1, %d1;", 1), HasSubstr("%d1 has 64 bits, not 32"));
  EXPECT_THAT(harness.fault("add.s32 %w0, %w1;", 1), HasSubstr("too few operands"));
  EXPECT_THAT(harness.fault("bra NOWHERE;", 1), HasSubstr("no label NOWHERE"));
}

TEST(Fault, AccessesOutOfBoundsNameBlockThreadAndAddress) {
  PtxHarness harness;
  const std::string stray = kThread + "mad.wide.u32 %d1, %w1, 8, %in;\nld.global.b64 %d2, [%d1+";
  EXPECT_EQ(harness.fault(stray + "0];", 64), "");
  EXPECT_THAT(
      harness.fault(stray + "8];", 64, 2),
      AllOf(HasSubstr("global read out of bounds"), HasSubstr("test.cu:7"), HasSubstr("block (0,0,0)"),
            HasSubstr("thread (63,0,0)"), HasSubstr("512 behind the start of 512 bytes")));
  EXPECT_THAT(harness.fault("st.shared.b32 [dynamic+256], 1;", 1), HasSubstr("shared write out of bounds"));
  EXPECT_THAT(harness.fault("mov.b64 %d1, 64;\nld.global.b32 %w0, [%d1];", 1), HasSubstr("no device memory"));
  EXPECT_THAT(harness.fault("ld.global.b64 %d1, [%in+4];", 1), HasSubstr("misaligned read: 8 bytes"));
}

TEST(Fault, StaticArraysDoNotTouch) {
  PtxHarness harness;
  EXPECT_THAT(
      harness.fault(".shared .align 4 .b8 a[16];\n.shared .align 4 .b8 b[16];\nst.shared.b32 [a+16], 1;\n"
                    "st.shared.b32 [b], 1;",
                    1),
      HasSubstr("shared write out of bounds"));
}

TEST(Fault, DivergedBarriersNameBothPlaces) {
  PtxHarness harness;
  EXPECT_THAT(harness.fault(kThread + R"(setp.lt.u32 %p1, %w1, 32;
@%p1 bra LOW;
.loc 1 8 0
bar.sync 0;
bra DONE;
LOW:
.loc 1 9 0
bar.sync 0;
DONE:)",
                            64),
              AllOf(HasSubstr("diverged barrier"), HasSubstr("test.cu:8"), HasSubstr("test.cu:9")));
  EXPECT_THAT(harness.fault("bar.sync 1, 40;", 64), HasSubstr("a barrier of 40 threads"));
}

TEST(Fault, AWarpThatPartedCannotMeet) {
  PtxHarness harness;
  EXPECT_THAT(
      harness.fault(kThread + "setp.lt.u32 %p1, %w1, 16;\n@%p1 ret;\nshfl.sync.bfly.b32 %w0, %w1, 1, 31, -1;",
                    32),
      HasSubstr("names lane 0, which has exited"));
  EXPECT_THAT(harness.fault(kThread + "shfl.sync.bfly.b32 %w0, %w1, 1, 31, 1;", 32),
              HasSubstr("lane 1 is not in its own mask"));
  EXPECT_THAT(harness.fault(kThread + R"(setp.lt.u32 %p1, %w1, 16;
@%p1 bra LOW;
shfl.sync.up.b32 %w0, %w1, 1, 0, -1;
LOW:
shfl.sync.bfly.b32 %w0, %w1, 1, 31, -1;)",
                            32),
              HasSubstr("diverged warp"));
}

TEST(Fault, ADeadlockListsWhoWaitsWhere) {
  PtxHarness harness;
  EXPECT_THAT(
      harness.fault(kThread + "setp.lt.u32 %p1, %w1, 32;\n@%p1 bar.sync 1, 64;", 64),
      AllOf(HasSubstr("deadlock"), HasSubstr("warp 0 lanes 0xffffffff"), HasSubstr("bar.sync 1, 64")));
}

TEST(Fault, AnEndlessLoopIsNoted) {
  PtxHarness harness;
  harness.options.step_limit = 100000;
  EXPECT_THAT(harness.fault("AGAIN:\nbra AGAIN;", 64), HasSubstr("livelock?"));
}

TEST(Fault, CopiesInFlightAtTheEndAreNoted) {
  PtxHarness harness;
  EXPECT_THAT(harness.fault("mov.u32 %w2, dynamic;\ncp.async.ca.shared.global [%w2], [%in], 8;", 1),
              HasSubstr("cp.async copies in flight"));
}

TEST(Schedule, BarriersOrderBlocksWarps) {
  // Each warp writes its number to shared memory; behind the barrier each reads its neighbour's.
  for (const Order order : {Order::Forward, Order::Reverse, Order::Random, Order::Priority}) {
    PtxHarness harness;
    harness.options.order = order;
    const auto words = harness.run(kThread + R"(mov.u32 %w2, dynamic;
shl.b32 %w3, %w1, 2;
add.u32 %w4, %w2, %w3;
st.shared.b32 [%w4], %w1;
bar.sync 0;
add.u32 %w5, %w1, 37;
and.b32 %w5, %w5, 127;
shl.b32 %w6, %w5, 2;
add.u32 %w6, %w6, %w2;
ld.shared.b32 %w7, [%w6];
mad.wide.u32 %d1, %w1, 8, %out;
st.global.b32 [%d1], %w7;)",
                                   std::vector<uint64_t>(128), {}, 128, 1, 512);
    for (uint32_t i = 0; i < 128; ++i) ASSERT_EQ(words[i], (i + 37) % 128);
  }
}

TEST(Schedule, ProducersArriveWhereConsumersWait) {
  PtxHarness harness;
  const auto words = harness.run(kThread + R"(mov.u32 %w2, dynamic;
setp.lt.u32 %p1, %w1, 32;
@%p1 bra CONSUME;
st.shared.b32 [%w2], 5;
bar.arrive 1, 64;
bra DONE;
CONSUME:
bar.sync 1, 64;
ld.shared.b32 %w3, [%w2];
st.global.b32 [%out], %w3;
DONE:)",
                                 {0}, {}, 64, 1, 16);
  EXPECT_EQ(words[0], 5u);
}

TEST(Schedule, LanesThatSpinForOthersOfTheirWarpGetAnEnd) {
  // Lane 0 spins until lane 1, which is further on, sets the flag.
  PtxHarness harness;
  EXPECT_EQ(harness.run(kThread + R"(setp.ne.u32 %p1, %w1, 0;
@%p1 bra SET;
SPIN:
ld.volatile.global.b32 %w3, [%out];
setp.eq.u32 %p2, %w3, 0;
@%p2 bra SPIN;
bra DONE;
SET:
st.volatile.global.b32 [%out], 1;
DONE:)",
                        {0}, {}, 2)[0],
            1u);
}

TEST(Schedule, TheSameSeedGivesTheSameOrder) {
  // The last of four warps to write wins.
  const auto winner = [](uint64_t seed) {
    PtxHarness harness;
    harness.options.order = Order::Random;
    harness.options.seed = seed;
    return harness.run(kThread + "st.global.b32 [%out], %w1;", {0}, {}, 128)[0];
  };
  bool differs = false;
  for (uint64_t seed = 1; seed < 20; ++seed) {
    EXPECT_EQ(winner(seed), winner(seed));
    differs = differs || winner(seed) != winner(0);
  }
  EXPECT_TRUE(differs);
}

}  // namespace
}  // namespace prospect::emulator
