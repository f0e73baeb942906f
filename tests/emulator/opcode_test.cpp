// Instructions on values whose result is known from the PTX manual, one by one. All types of each:
// opcode_types_test.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/emulator/opcode_cases.h"

namespace prospect::emulator {
namespace {

TEST(Opcode, IntegersWrapAndKeepTheirSign) {
  check({{"add.s32", "www", {kMost, 1}, kLeast},
         {"add.u16", "hhh", {0xffff, 2}, 1},
         {"add.s64", "ddd", {~0ull, 1}, 0},
         {"sub.u32", "www", {1, 2}, kMinus1},
         {"sub.s16", "hhh", {0x8000, 1}, 0x7fff},
         {"mul.lo.s32", "www", {kMinus1, 3}, 0xfffffffd},
         {"mul.lo.u16", "hhh", {0xffff, 0xffff}, 1},
         {"mul.lo.u64", "ddd", {1ull << 63, 3}, 1ull << 63},
         {"mul.hi.u32", "www", {kMinus1, kMinus1}, 0xfffffffe},
         {"mul.hi.s32", "www", {kMinus1, 5}, kMinus1},
         {"mul.hi.u64", "ddd", {1ull << 63, 4}, 2},
         {"mul.hi.s64", "ddd", {~0ull, 4}, ~0ull},
         {"mul.wide.s32", "dww", {kMinus1, 2}, ~0ull - 1},
         {"mul.wide.u32", "dww", {kMinus1, 2}, 0x1fffffffeull},
         {"mul.wide.s16", "whh", {0xffff, 3}, 0xfffffffd},
         {"mul.wide.u16", "whh", {0xffff, 3}, 0x2fffd},
         {"mad.lo.s32", "wwww", {kMinus1, 3, 5}, 2},
         {"mad.hi.u32", "wwww", {kLeast, 4, 7}, 9},
         {"mad.wide.s32", "dwwd", {kMinus1, 2, 1}, ~0ull},
         {"mad.wide.u16", "whhw", {0xffff, 2, 3}, 0x20001},
         {"div.s32", "www", {0xfffffff9, 2}, 0xfffffffd},
         {"div.u32", "www", {0xfffffff9, 2}, 0x7ffffffc},
         {"div.s32", "www", {kLeast, kMinus1}, kLeast},
         {"div.s64", "ddd", {static_cast<uint64_t>(-7), 2}, static_cast<uint64_t>(-3)},
         {"rem.s32", "www", {0xfffffff9, 2}, kMinus1},
         {"rem.u64", "ddd", {17, 5}, 2},
         {"min.s32", "www", {kMinus1, 1}, kMinus1},
         {"min.u32", "www", {kMinus1, 1}, 1},
         {"max.s64", "ddd", {~0ull, 1}, 1},
         {"max.u16", "hhh", {0xffff, 1}, 0xffff},
         {"neg.s32", "ww", {kLeast}, kLeast},
         {"abs.s32", "ww", {0xfffffffb}, 5},
         {"abs.s64", "dd", {static_cast<uint64_t>(-5)}, 5}});
}

TEST(Opcode, BitsAreMovedAndCounted) {
  check({{"and.b32", "www", {0xf0f0, 0xff00}, 0xf000},
         {"or.b64", "ddd", {1ull << 40, 1}, (1ull << 40) + 1},
         {"xor.b16", "hhh", {0xffff, 0xff}, 0xff00},
         {"not.b32", "ww", {0}, kMinus1},
         {"shl.b32", "www", {1, 31}, kLeast},
         {"shl.b32", "www", {1, 32}, 0},
         {"shl.b64", "ddw", {1, 40}, 1ull << 40},
         {"shl.b16", "hhw", {1, 16}, 0},
         {"shr.u32", "www", {kLeast, 31}, 1},
         {"shr.s32", "www", {kLeast, 40}, kMinus1},
         {"shr.s64", "ddw", {1ull << 63, 63}, ~0ull},
         {"shr.s16", "hhw", {0x8000, 4}, 0xf800},
         {"shf.l.wrap.b32", "wwww", {0x80000000, 1, 33}, 3},
         {"shf.l.clamp.b32", "wwww", {0x12345678, 1, 40}, 0x12345678},
         {"shf.r.wrap.b32", "wwww", {0x80000000, 1, 31}, 3},
         {"shf.r.clamp.b32", "wwww", {5, 7, 32}, 7},
         {"popc.b32", "ww", {0xf0f}, 8},
         {"popc.b64", "wd", {~0ull}, 64},
         {"clz.b32", "ww", {1}, 31},
         {"clz.b64", "wd", {0}, 64},
         {"brev.b32", "ww", {1}, kLeast},
         {"brev.b64", "dd", {2}, 1ull << 62},
         {"bfind.u32", "ww", {0x100}, 8},
         {"bfind.u32", "ww", {0}, kMinus1},
         {"bfind.shiftamt.u32", "ww", {0x100}, 23},
         {"bfind.shiftamt.u32", "ww", {0}, kMinus1},
         {"prmt.b32", "wwww", {0x44332211, 0x88776655, 0x7054}, 0x88116655},
         {"prmt.b32", "wwww", {0x80, 0, 0x8888}, kMinus1},
         {"bfe.u32", "wwww", {0xabcd, 4, 8}, 0xbc},
         {"bfe.s32", "wwww", {0xf0, 4, 4}, kMinus1},
         {"bfe.s32", "wwww", {kLeast, 28, 8}, 0xfffffff8},
         {"bfe.u64", "ddww", {1ull << 40, 40, 1}, 1},
         {"bfi.b32", "wwwww", {5, kMinus1, 4, 4}, 0xffffff5f},
         {"bfi.b64", "dddww", {0xabcd, 1, 32, 32}, 0xabcd00000001ull},
         {"lop3.b32", "wwwwi", {0xf0, 0xcc, 0xaa, 0xe8}, 0xe8},
         {"lop3.b32", "wwwwi", {0xf0, 0xcc, 0xaa, 0x96}, 0x96}});
}

TEST(Opcode, FloatsAreRoundedToNearest) {
  check({{"add.f32", "www", {f(1), f(0x1p-24f)}, f(1)},
         {"add.rn.f64", "ddd", {d(1), d(0x1p-53)}, d(1)},
         {"sub.f32", "www", {f(1), f(3)}, f(-2)},
         {"mul.f32", "www", {f(3), f(-0.5f)}, f(-1.5f)},
         {"fma.rn.f32", "wwww", {f(0x1.000002p0f), f(0x1.000002p0f), f(-0x1.000004p0f)}, f(0x1p-46f)},
         {"fma.rm.f32", "wwww", {f(1), f(1), f(0x1p-30f)}, f(1)},
         {"fma.rm.f32", "wwww", {f(1), f(1), f(-0x1p-100f)}, f(0x1.fffffep-1f)},
         {"fma.rm.f32", "wwww", {f(0x1.000002p0f), f(0x1.000002p0f), f(0)}, f(0x1.000004p0f)},
         {"fma.rm.f32", "wwww", {f(-0x1.000002p0f), f(0x1.000002p0f), f(0)}, f(-0x1.000006p0f)},
         {"fma.rm.f32", "wwww", {f(0x1p127f), f(4), f(0)}, f(std::numeric_limits<float>::max())},
         {"fma.rn.f64", "dddd", {d(3), d(4), d(5)}, d(17)},
         {"div.rn.f32", "www", {f(1), f(3)}, f(1.0f / 3.0f)},
         {"div.full.f32", "www", {f(9), f(3)}, f(3)},
         {"div.rn.f64", "ddd", {d(1), d(3)}, d(1.0 / 3.0)},
         {"min.f32", "www", {f(kNan), f(2)}, f(2)},
         {"max.f32", "www", {f(-0.0f), f(0)}, f(0)},
         {"min.f32", "www", {f(0), f(-0.0f)}, f(-0.0f)},
         {"max.f64", "ddd", {d(1), d(2)}, d(2)},
         {"neg.f32", "ww", {f(0)}, f(-0.0f)},
         {"abs.f32", "ww", {f(-3)}, f(3)},
         {"copysign.f32", "www", {f(-1), f(7)}, f(-7)},
         {"sqrt.rn.f32", "ww", {f(2)}, f(std::sqrt(2.0f))},
         {"sqrt.rn.f64", "dd", {d(2)}, d(std::sqrt(2.0))},
         {"rcp.rn.f32", "ww", {f(3)}, f(1.0f / 3.0f)},
         {"rcp.rn.f64", "dd", {d(4)}, d(0.25)},
         {"rcp.approx.ftz.f64", "dd", {d(-3)}, 0xbfd5555500000000},
         {"rcp.approx.ftz.f64", "dd", {d(0x1.00000ffffffffp-1022)}, 0x7fd0000000000000},
         {"rcp.approx.ftz.f64", "dd", {1}, d(std::numeric_limits<double>::infinity())},
         {"rsqrt.approx.f32", "ww", {f(4)}, f(0.5f)},
         {"ex2.approx.f32", "ww", {f(-3)}, f(0.125f)},
         {"ex2.approx.ftz.f32", "ww", {f(-130)}, f(0)},
         {"lg2.approx.f32", "ww", {f(8)}, f(3)},
         {"sin.approx.f32", "ww", {f(0)}, f(0)},
         {"cos.approx.f32", "ww", {f(0)}, f(1)},
         {"tanh.approx.f32", "ww", {f(0)}, f(0)},
         {"mul.ftz.f32", "www", {f(0x1p-100f), f(0x1p-40f)}, f(0)}});
}

TEST(Opcode, ComparisonsOrderNumbersAndNotNans) {
  check({{"setp.lt.s32", "pww", {kMinus1, 0}, 1},
         {"setp.lt.u32", "pww", {kMinus1, 0}, 0},
         {"setp.lo.u32", "pww", {0, 1}, 1},
         {"setp.ge.s64", "pdd", {~0ull, 0}, 0},
         {"setp.eq.s16", "phh", {5, 5}, 1},
         {"setp.ne.b32", "pww", {5, 5}, 0},
         {"setp.gt.u16", "phh", {0xffff, 1}, 1},
         {"setp.lt.and.s32", "pwwp", {1, 2, 0}, 0},
         {"setp.lt.or.s32", "pwwp", {2, 1, 1}, 1},
         {"setp.lt.xor.s32", "pwwp", {1, 2, 1}, 0},
         {"setp.lt.f32", "pww", {f(1), f(kNan)}, 0},
         {"setp.ltu.f32", "pww", {f(1), f(kNan)}, 1},
         {"setp.ne.f32", "pww", {f(kNan), f(kNan)}, 0},
         {"setp.neu.f32", "pww", {f(kNan), f(kNan)}, 1},
         {"setp.gt.f64", "pdd", {d(2), d(1)}, 1},
         {"setp.equ.f64", "pdd", {d(2), d(1)}, 0},
         {"setp.num.f32", "pww", {f(1), f(2)}, 1},
         {"setp.nan.f32", "pww", {f(1), f(kNan)}, 1},
         {"and.pred", "ppp", {1, 0}, 0},
         {"or.pred", "ppp", {1, 0}, 1},
         {"xor.pred", "ppp", {1, 1}, 0},
         {"not.pred", "pp", {1}, 0},
         {"selp.b32", "wwwp", {3, 4, 0}, 4},
         {"selp.f64", "dddp", {3, 4, 1}, 3}});
}

TEST(Opcode, ConversionsExtendRoundAndClamp) {
  check({{"cvt.s64.s32", "dw", {kMinus1}, ~0ull},
         {"cvt.u64.u32", "dw", {kMinus1}, kMinus1},
         {"cvt.s64.s32", "dd", {kMinus1}, ~0ull},
         {"cvt.u32.u64", "wd", {0x100000002ull}, 2},
         {"cvt.s32.s8", "ww", {0x80}, 0xffffff80},
         {"cvt.u16.u8", "hw", {0x1ff}, 0xff},
         {"cvt.u32.u16", "wh", {0xffff}, 0xffff},
         {"cvt.s32.s16", "wh", {0xffff}, kMinus1},
         {"cvt.rn.f32.s32", "ww", {kMinus1}, f(-1)},
         {"cvt.rn.f32.u32", "ww", {kMinus1}, f(0x1p32f)},
         {"cvt.rn.f32.u64", "wd", {~0ull}, f(0x1p64f)},
         {"cvt.rn.f64.s32", "dw", {kMinus1}, d(-1)},
         {"cvt.rzi.s32.f32", "ww", {f(-2.7f)}, 0xfffffffe},
         {"cvt.rni.s32.f32", "ww", {f(2.5f)}, 2},
         {"cvt.rmi.s32.f32", "ww", {f(-2.1f)}, 0xfffffffd},
         {"cvt.rpi.s32.f32", "ww", {f(2.1f)}, 3},
         {"cvt.rzi.s32.f32", "ww", {f(1e20f)}, kMost},
         {"cvt.rzi.u32.f32", "ww", {f(-5)}, 0},
         {"cvt.rzi.s32.f32", "ww", {f(kNan)}, 0},
         {"cvt.rzi.s64.f64", "dd", {d(-1e30)}, 1ull << 63},
         {"cvt.rni.f32.f32", "ww", {f(3.5f)}, f(4)},
         {"cvt.rmi.f32.f32", "ww", {f(-0.5f)}, f(-1)},
         {"cvt.sat.f32.f32", "ww", {f(-3)}, f(0)},
         {"cvt.sat.f32.f32", "ww", {f(0.75f)}, f(0.75f)},
         {"cvt.sat.f32.f32", "ww", {f(7)}, f(1)},
         {"cvt.sat.f32.f32", "ww", {f(kNan)}, f(0)},
         {"cvt.rn.f32.f64", "wd", {d(1.0 / 3)}, f(1.0f / 3)},
         {"cvt.f64.f32", "dw", {f(1.5f)}, d(1.5)},
         {"cvt.rn.bf16.f32", "hw", {f(1.00390625f)}, 0x3f80},  // a tie, to even
         {"cvt.rn.bf16.f32", "hw", {f(1.01171875f)}, 0x3f82},
         {"cvt.rn.bf16.f32", "hw", {f(-kNan)}, 0x7fff},  // every NaN is the same one
         {"cvt.f32.bf16", "wh", {0x3f80}, f(1)},
         {"cvt.rn.bf16x2.f32", "www", {f(1), f(2)}, 0x3f804000},
         {"cvt.rn.bf16x2.f32", "www", {f(-kNan), 0x7f800001}, 0x7fff7fff},
         {"cvt.rn.relu.bf16.f32", "hw", {f(-kNan)}, 0x7fff},
         {"cvt.rn.relu.bf16x2.f32", "www", {f(-1), f(2)}, 0x4000}});
}

TEST(Opcode, MovesPackAndUnpack) {
  const std::string store = "st.global.b64 [%out], %d0;";
  PtxHarness harness;
  const auto word = [&](const std::string& body) { return harness.run(body + store, {0}, {}, 1)[0]; };
  EXPECT_EQ(word("mov.b32 %w1, 5;\nmov.b32 %w2, 6;\nmov.b64 %d0, {%w1, %w2};\n"), 0x600000005ull);
  EXPECT_EQ(word("mov.b64 %d1, 0x600000005;\nmov.b64 {%w1, %w2}, %d1;\nmov.b64 %d0, {%w2, %w1};\n"),
            0x500000006ull);
  EXPECT_EQ(word("mov.b32 %w1, 0x70008;\nmov.b32 {%h1, %h2}, %w1;\nmov.b64 %d0, {%h2, %h1, %h1, %h1};\n"),
            0x0008000800080007ull);
  EXPECT_EQ(word("mov.b16 %h1, 7;\nmov.b16 %h2, 8;\nmov.b32 %w1, {%h1, %h2};\ncvt.u64.u32 %d0, %w1;\n"),
            0x80007u);
  EXPECT_EQ(word("mov.b64 %d1, 0x0001000200030004;\nmov.b64 {_, %h1, _, _}, %d1;\ncvt.u64.u16 %d0, %h1;\n"),
            3u);
}

TEST(Opcode, LoadsExtendIntoWiderRegisters) {
  PtxHarness harness;
  const auto load = [&](const std::string& instruction, const std::string& store) {
    return harness.run(instruction + ", [%in];\n" + store, {0}, {0x80818283848586f7ull}, 1)[0];
  };
  const std::string store64 = "st.global.b64 [%out], %d1;", store32 = "st.global.b32 [%out], %w1;";
  EXPECT_EQ(load("ld.global.s32 %d1", store64), 0xffffffff848586f7ull);
  EXPECT_EQ(load("ld.global.u32 %d1", store64), 0x848586f7ull);
  EXPECT_EQ(load("ld.global.s16 %w1", store32), 0xffff86f7u);
  EXPECT_EQ(load("ld.global.u16 %w1", store32), 0x86f7u);
  EXPECT_EQ(load("ld.global.s8 %w1", store32), 0xfffffff7u);
  EXPECT_EQ(load("ld.global.u8 %w1", store32), 0xf7u);
  EXPECT_EQ(load("ld.global.b64 %d1", "st.global.u8 [%out], %d1;"), 0xf7u);
  EXPECT_EQ(load("ld.global.v2.u16 {%w1, %w2}", "st.global.b32 [%out], %w2;"), 0x8485u);
}

TEST(Opcode, AtomicsReturnWhatWasThere) {
  PtxHarness harness;
  const auto run = [&](const std::string& text, uint64_t before) {
    return harness.run(text + "\nst.global.b32 [%out+8], %w0;", {before, 0}, {}, 1);
  };
  using Words = std::vector<uint64_t>;
  EXPECT_EQ(run("atom.global.add.u32 %w0, [%out], 3;", 4), (Words{7, 4}));
  EXPECT_EQ(run("atom.global.min.s32 %w0, [%out], 3;", kMinus1), (Words{kMinus1, kMinus1}));
  EXPECT_EQ(run("atom.global.max.u32 %w0, [%out], 3;", 1), (Words{3, 1}));
  EXPECT_EQ(run("atom.global.exch.b32 %w0, [%out], 9;", 1), (Words{9, 1}));
  EXPECT_EQ(run("atom.global.cas.b32 %w0, [%out], 1, 8;", 1), (Words{8, 1}));
  EXPECT_EQ(run("atom.global.cas.b32 %w0, [%out], 2, 8;", 1), (Words{1, 1}));
  EXPECT_EQ(run("atom.global.inc.u32 %w0, [%out], 1;", 1), (Words{0, 1}));
  EXPECT_EQ(run("atom.global.and.b32 %w0, [%out], 6;", 3), (Words{2, 3}));
  EXPECT_EQ(run("mov.b32 %w1, 0f40000000;\natom.add.f32 %w0, [%out], %w1;", f(3)), (Words{f(5), f(3)}));
  EXPECT_EQ(run("mov.b32 %w0, 0;\nred.global.add.u32 [%out], 3;", 4), (Words{7, 0}));
}

TEST(Opcode, EachLaneOfAWarpAddsInTurn) {
  PtxHarness harness;
  EXPECT_EQ(harness.run("red.global.add.u32 [%out], 1;", {0}, {}, 96, 4)[0], 384u);
}

}  // namespace
}  // namespace prospect::emulator
