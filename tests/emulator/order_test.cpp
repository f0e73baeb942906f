// What orders accesses of different blocks, by the memory model of PTX: what it does not order is a race.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/emulator/ptx_harness.h"

namespace prospect::emulator {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// What the checker says of a kernel of blocks that run together: %w1 is the thread, %w2 the block, %w3 the
/// last block; %d1 is the block's own word of the output, from the second on; the first is for flags.
std::string verdict(const std::string& body, Order order = Order::Forward, uint32_t threads = 32,
                    uint32_t blocks = 4) {
  PtxHarness harness;
  harness.options.check = true;
  harness.options.resident_blocks = static_cast<int>(blocks);
  harness.options.order = order;
  return harness.fault(R"(mov.u32 %w1, %tid.x;
mov.u32 %w2, %ctaid.x;
mov.u32 %w3, %nctaid.x;
sub.u32 %w3, %w3, 1;
mad.wide.u32 %d1, %w2, 8, %out;
setp.ne.u32 %p1, %w1, 0;
)" + body,
                       threads, blocks);
}

const std::string kWriteOwn = "\n.loc 1 11 0\n@!%p1 st.global.b32 [%d1+8], %w2;\n",
                  kReadFirst = "\n.loc 1 22 0\nld.global.b32 %w7, [%out+8];\n";

/// The block whose atomic comes last reads what the others wrote.
std::string last_block(const std::string& before, const std::string& atomic, const std::string& behind) {
  return "@%p1 bra JOIN;\n" + kWriteOwn + before + atomic + behind +
         "\nst.shared.b32 [dynamic], %w4;\nJOIN:\nbar.sync 0;\nld.shared.b32 %w4, [dynamic];\n"
         "setp.ne.u32 %p2, %w4, %w3;\n@%p2 bra DONE;\n" +
         kReadFirst + "ld.global.b32 %w7, [%out+24];\nDONE:\n";
}

TEST(Order, TheLastBlockReadsBehindFences) {
  const std::string fence = "membar.gl;\n", atomic = "atom.global.add.u32 %w4, [%out], 1;\n";
  for (const Order order : {Order::Forward, Order::Reverse, Order::Random, Order::Priority}) {
    EXPECT_EQ(verdict(last_block(fence, atomic, fence), order), "");
  }
  EXPECT_THAT(verdict(last_block("", atomic, fence)),
              AllOf(HasSubstr("race: read after a write at global"), HasSubstr("test.cu:22"),
                    HasSubstr("test.cu:11"), HasSubstr("block (0,0,0) thread (0,0,0) at")));
  EXPECT_THAT(verdict(last_block(fence, atomic, "")), HasSubstr("race: read after a write"));
  EXPECT_THAT(verdict(last_block("membar.cta;\n", atomic, fence)), HasSubstr("race: read after a write"));
}

TEST(Order, AnAtomicCanReleaseAndAcquire) {
  EXPECT_EQ(verdict(last_block("", "atom.acq_rel.gpu.global.add.u32 %w4, [%out], 1;\n", "")), "");
  EXPECT_THAT(verdict(last_block("", "atom.release.gpu.global.add.u32 %w4, [%out], 1;\n", "")),
              HasSubstr("race: read after a write"));
  EXPECT_THAT(verdict(last_block("", "atom.acquire.gpu.global.add.u32 %w4, [%out], 1;\n", "")),
              HasSubstr("race: read after a write"));
  EXPECT_THAT(verdict(last_block("", "atom.acq_rel.cta.global.add.u32 %w4, [%out], 1;\n", "")),
              HasSubstr("race: read after a write"));
}

/// All blocks wait for each other: thread 0 counts, and reads until all are there.
std::string grid_barrier(const std::string& count, const std::string& read, const std::string& label) {
  return "bar.sync 0;\n@%p1 bra " + label + "JOIN;\n" + count + " [%out], 1;\n" + label + "SPIN:\n" + read +
         " %w5, [%out];\nsetp.le.u32 %p2, %w5, %w3;\n@%p2 bra " + label + "SPIN;\n" + label +
         "JOIN:\nbar.sync 0;\n";
}

TEST(Order, AGridBarrierOrdersBothWays) {
  const std::string barrier =
      grid_barrier("red.release.gpu.global.add.u32", "ld.acquire.gpu.global.u32", "A");
  for (const Order order : {Order::Forward, Order::Reverse, Order::Random, Order::Priority}) {
    EXPECT_EQ(verdict(kWriteOwn + barrier + kReadFirst, order), "");
    EXPECT_EQ(verdict(kReadFirst + barrier + kWriteOwn, order), "");
  }
  EXPECT_THAT(verdict(kReadFirst + kWriteOwn), HasSubstr("race"));
  EXPECT_THAT(
      verdict(kWriteOwn + grid_barrier("red.global.add.u32", "ld.acquire.gpu.global.u32", "A") + kReadFirst),
      HasSubstr("race: read after a write"));
  EXPECT_THAT(
      verdict(kWriteOwn + grid_barrier("red.release.gpu.global.add.u32", "ld.volatile.global.u32", "A") +
              kReadFirst),
      HasSubstr("race: read after a write"));
}

TEST(Order, FlagsPassDataFromBlockToBlock) {
  // Block 0 writes and sets the flag; the others wait for it and read.
  const auto flag = [](const std::string& before, const std::string& set, const std::string& read,
                       const std::string& behind) {
    return verdict("setp.ne.u32 %p3, %w2, 0;\n@%p3 bra WAIT;\n" + kWriteOwn + before + "@!%p1 " + set +
                   " [%out], 9;\nbra DONE;\nWAIT:\n" + read +
                   " %w5, [%out];\nsetp.ne.u32 %p4, %w5, 9;\n@%p4 bra WAIT;\n" + behind + kReadFirst +
                   "DONE:\n");
  };
  EXPECT_EQ(flag("", "st.release.gpu.global.u32", "ld.acquire.gpu.global.u32", ""), "");
  EXPECT_EQ(flag("membar.gl;\n", "st.volatile.global.u32", "ld.volatile.global.u32", "membar.gl;\n"), "");
  EXPECT_THAT(flag("", "st.volatile.global.u32", "ld.volatile.global.u32", "membar.gl;\n"),
              HasSubstr("race: read after a write"));
  EXPECT_THAT(flag("membar.gl;\n", "st.global.u32", "ld.volatile.global.u32", "membar.gl;\n"),
              HasSubstr("race"));
}

TEST(Order, WritersMustKnowOfReadersInOtherBlocks) {
  const std::string barrier =
      grid_barrier("red.release.gpu.global.add.u32", "ld.acquire.gpu.global.u32", "A");
  // Every block reads the second word; then the last one writes it.
  const auto after = [&](const std::string& between) {
    return verdict(kReadFirst + between +
                   "setp.ne.u32 %p3, %w2, %w3;\n@%p3 bra DONE;\n@%p1 bra DONE;\n"
                   "st.global.b32 [%out+8], 5;\nDONE:\n");
  };
  EXPECT_EQ(after(barrier), "");
  EXPECT_THAT(after(""), HasSubstr("race: write after a read"));
}

TEST(Order, StrongAccessesMayMeet) {
  EXPECT_EQ(verdict("ld.relaxed.gpu.global.u32 %w7, [%out];\nred.global.add.u32 [%out], 1;"), "");
  EXPECT_THAT(verdict("ld.global.u32 %w7, [%out];\nred.global.add.u32 [%out], 1;"),
              HasSubstr("race: write after a read"));
  EXPECT_THAT(verdict("red.global.add.u32 [%out], 1;\nld.global.u32 %w7, [%out];"),
              HasSubstr("race: read after a write"));
}

}  // namespace
}  // namespace prospect::emulator
