// Instructions in which lanes or warps of a block meet, and what orders or ends them, in every spelling.
#include <gmock/gmock.h>

#include "tests/emulator/opcode_cases.h"

namespace prospect::emulator {
namespace {

using testing::HasSubstr;

/// Thread t finds its number in %w1 and its place in the output in %d7; the result goes there from %w0.
std::vector<uint64_t> threads(const std::string& text, uint32_t count) {
  PtxHarness harness;
  return harness.run("mov.u32 %w1, %tid.x;\nmul.wide.u32 %d6, %w1, 8;\nadd.u64 %d7, %out, %d6;\n" + text +
                         "\nst.global.u32 [%d7], %w0;",
                     std::vector<uint64_t>(count), {}, count, 1, 512);
}

/// Every thread puts its number into shared memory and reads the one at the other end.
constexpr const char* kPut =
    "mov.u32 %w2, dynamic;\nshl.b32 %w3, %w1, 2;\nadd.u32 %w4, %w2, %w3;\nst.shared.u32 [%w4], %w1;\n";
constexpr const char* kTake =
    "sub.u32 %w5, 63, %w1;\nshl.b32 %w5, %w5, 2;\nadd.u32 %w5, %w5, %w2;\nld.shared.u32 %w0, [%w5];";

TEST(OpcodeBlock, BarriersBringAllThreadsTogether) {
  for (const std::string name : {"bar.sync", "bar.cta.sync", "barrier.sync", "barrier.sync.aligned"}) {
    for (const char* operands : {" 0;\n", " 3, 64;\n"}) {
      const std::vector<uint64_t> words = threads(kPut + name + operands + kTake, 64);
      for (uint32_t t = 0; t < 64; ++t) ASSERT_EQ(words[t], 63 - t) << name << operands;
    }
  }
}

TEST(OpcodeBlock, WhoArrivesNeedNotWait) {
  for (const std::string name : {"bar.arrive", "barrier.arrive", "barrier.arrive.aligned"}) {
    const std::string text =
        std::string(kPut) +
        "mov.u32 %w0, 99;\nsetp.lt.u32 %p1, %w1, 32;\n@%p1 bra FIRST;\nbar.sync 5, 64;\n" + kTake +
        "\nbra DONE;\nFIRST:\n" + name + " 5, 64;\nDONE:";
    const std::vector<uint64_t> words = threads(text, 64);
    for (uint32_t t = 0; t < 64; ++t) ASSERT_EQ(words[t], t < 32 ? 99 : 63 - t) << name;
  }
}

TEST(OpcodeBlock, FencesAndHintsChangeNoValue) {
  for (const char* text : {"membar.cta",
                           "membar.gl",
                           "membar.sys",
                           "fence.sc.cta",
                           "fence.sc.cluster",
                           "fence.sc.gpu",
                           "fence.sc.sys",
                           "fence.acq_rel.cta",
                           "fence.acq_rel.cluster",
                           "fence.acq_rel.gpu",
                           "fence.acq_rel.sys",
                           "nanosleep.u32 100",
                           "prefetch.global.L1 [%out]",
                           "prefetch.global.L2 [%out]",
                           "bar.warp.sync -1",
                           "fence.mbarrier_init.release.cluster",
                           "fence.proxy.async",
                           "fence.proxy.async.global",
                           "fence.proxy.async.shared::cta",
                           "fence.proxy.async.shared::cluster",
                           "griddepcontrol.wait",
                           "griddepcontrol.launch_dependents",
                           "setmaxnreg.inc.sync.aligned.u32 240",
                           "setmaxnreg.dec.sync.aligned.u32 24"}) {
    const std::vector<uint64_t> words = threads(std::string("mov.u32 %w0, 7;\n") + text + ";", 32);
    for (const uint64_t word : words) ASSERT_EQ(word, 7u) << text;
  }
}

TEST(OpcodeBlock, LanesLeaveAndJump) {
  for (const std::string name : {"ret", "exit"}) {
    const std::vector<uint64_t> words =
        threads("mov.u32 %w0, 7;\nsetp.lt.u32 %p1, %w1, 16;\n@%p1 " + name + ";", 32);
    for (uint32_t t = 0; t < 32; ++t) ASSERT_EQ(words[t], t < 16 ? 0u : 7u) << name;
  }
  for (const std::string name : {"bra", "bra.uni"}) {
    for (const uint64_t word : threads("mov.u32 %w0, 7;\n" + name + " OVER;\nmov.u32 %w0, 8;\nOVER:", 32))
      ASSERT_EQ(word, 7u);
  }
  EXPECT_THAT(PtxHarness().fault("trap;", 32), HasSubstr("trap"));
}

TEST(OpcodeBlock, ReductionsOfAllTypes) {
  const auto expect = [](const char* name, uint32_t expected) {
    // -3, -2 ... 28 in the lanes.
    for (const uint64_t word :
         threads(std::string("sub.u32 %w2, %w1, 3;\nredux.sync.") + name + " %w0, %w2, -1;", 32)) {
      ASSERT_EQ(word, expected) << name;
    }
  };
  expect("add.u32", 400), expect("add.s32", 400);
  expect("min.u32", 0), expect("max.u32", 0xffffffff);
  expect("min.s32", 0xfffffffd), expect("max.s32", 28);
  expect("and.b32", 0), expect("or.b32", 0xffffffff),
      expect("xor.b32", 29 ^ 30 ^ 31 ^ 0xfffffffd ^ 0xfffffffe ^ 0xffffffff);
}

TEST(OpcodeBlock, VotesMatchesAndLeaders) {
  const auto expect = [](const std::string& text, const auto& expected) {
    const std::vector<uint64_t> words = threads(text, 32);
    for (uint32_t t = 0; t < 32; ++t) ASSERT_EQ(words[t], static_cast<uint32_t>(expected(t))) << text;
  };
  const std::string show = "\nselp.b32 %w0, 1, 0, %p0;";
  expect("setp.lt.u32 %p1, %w1, 32;\nvote.sync.uni.pred %p0, %p1, -1;" + show, [](uint32_t) { return 1; });
  expect("setp.lt.u32 %p1, %w1, 9;\nvote.sync.uni.pred %p0, %p1, -1;" + show, [](uint32_t) { return 0; });
  expect("and.b32 %w2, %w1, 3;\nmul.wide.u32 %d1, %w2, -2;\nmatch.any.sync.b64 %w0, %d1, -1;",
         [](uint32_t t) { return 0x11111111u << t % 4; });
  expect("elect.sync %w0|%p0, -1;", [](uint32_t) { return 0; });
  expect("elect.sync _|%p0, -1;" + show, [](uint32_t t) { return t == 0; });
  expect("activemask.b32 %w0;", [](uint32_t) { return ~0u; });
}

// Four 8 x 8 matrices of 16 bits, one behind the other: element e of them all is the number e.

uint32_t pair(uint32_t low, uint32_t high) {
  return low | high << 16;
}
/// What register `matrix` of a lane holds, by rows or transposed.
uint32_t fragment(uint32_t lane, uint32_t matrix, bool transposed) {
  const uint32_t row = lane / 4, column = 2 * (lane % 4), first = 64 * matrix;
  return transposed ? pair(first + 8 * column + row, first + 8 * (column + 1) + row)
                    : pair(first + 8 * row + column, first + 8 * row + column + 1);
}
/// Lane l at row l; words 4 l to 4 l + 3 in %w4 to %w7.
std::string matrices() {
  std::string text =
      "mov.u32 %w1, %tid.x;\nmov.u32 %w2, dynamic;\nshl.b32 %w3, %w1, 4;\nadd.u32 %w3, %w3, "
      "%w2;\nmul.wide.u32 %d6, %w1, 32;\nadd.u64 %d7, %out, %d6;\n";
  for (int i = 0; i < 4; ++i)
    text += fmt::format("mad.lo.u32 %w{}, %w1, 524296, {};\n", 4 + i,
                        pair(0, 1) + 0x20002u * static_cast<uint32_t>(i));
  return text;
}
std::string vector_of(uint32_t count, int first) {
  std::string text = "{";
  for (uint32_t i = 0; i < count; ++i)
    text += fmt::format("{}%w{}", i == 0 ? "" : ", ", first + static_cast<int>(i));
  return text + "}";
}

TEST(OpcodeBlock, MatricesAreLoadedAndStored) {
  for (const uint32_t count : {1u, 2u, 4u}) {
    for (const std::string where : {".shared.b16", ".shared::cta.b16"}) {
      for (const bool transposed : {false, true}) {
        const std::string form =
            fmt::format("matrix.sync.aligned.m8n8.x{}{}{}", count, transposed ? ".trans" : "", where);
        std::string load = matrices() +
                           "st.shared.v4.b32 [%w3], {%w4, %w5, %w6, %w7};\nbar.warp.sync -1;\nld" + form +
                           " " + vector_of(count, 8) + ", [%w3];\n";
        for (uint32_t i = 0; i < count; ++i)
          load += fmt::format("st.global.b32 [%d7+{}], %w{};\n", 8 * i, 8 + i);
        PtxHarness harness;
        const std::vector<uint64_t> loaded = harness.run(load, std::vector<uint64_t>(128), {}, 32, 1, 512);
        std::vector<uint64_t> registers(128);
        for (uint32_t lane = 0; lane < 32; ++lane) {
          for (uint32_t i = 0; i < count; ++i) {
            ASSERT_EQ(loaded[4 * lane + i], fragment(lane, i, transposed)) << form;
            registers[4 * lane + i] = fragment(lane, i, transposed);
          }
        }
        std::string store = matrices() + "add.u64 %d7, %in, %d6;\n";
        for (uint32_t i = 0; i < count; ++i)
          store += fmt::format("ld.global.b32 %w{}, [%d7+{}];\n", 8 + i, 8 * i);
        store += "add.u64 %d7, %out, %d6;\nst.shared.v4.b32 [%w3], {-1, -1, -1, -1};\nbar.warp.sync -1;\nst" +
                 form + " [%w3], " + vector_of(count, 8) +
                 ";\nbar.warp.sync -1;\nld.shared.v4.b32 {%w8, %w9, %w10, %w11}, [%w3];\n";
        for (uint32_t i = 0; i < 4; ++i)
          store += fmt::format("st.global.b32 [%d7+{}], %w{};\n", 8 * i, 8 + i);
        const std::vector<uint64_t> stored =
            harness.run(store, std::vector<uint64_t>(128), registers, 32, 1, 512);
        for (uint32_t i = 0; i < 128; ++i) {
          ASSERT_EQ(stored[i], i < 32 * count ? pair(2 * i, 2 * i + 1) : 0xffffffffu) << form;
        }
      }
    }
  }
}

}  // namespace
}  // namespace prospect::emulator
