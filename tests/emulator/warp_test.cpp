// Instructions in which lanes meet: every lane gives its number, or a value made of it.
#include <gtest/gtest.h>

#include <bit>

#include "tests/emulator/ptx_harness.h"

namespace prospect::emulator {
namespace {

constexpr Order kOrders[] = {Order::Forward, Order::Reverse, Order::Random, Order::Priority};

/// %w1 is the lane's number, %d7 its place in the output; the result goes there from %w0.
std::vector<uint64_t> lanes(const std::string& text, Order order = Order::Forward, uint32_t threads = 32) {
  PtxHarness harness;
  harness.options.order = order;
  return harness.run("mov.u32 %w1, %tid.x;\nmul.wide.u32 %d6, %w1, 8;\nadd.u64 %d7, %out, %d6;\n" + text +
                         "\nst.global.u32 [%d7], %w0;",
                     std::vector<uint64_t>(threads), {}, threads);
}

template <class Expected>
void expect_lanes(const std::string& text, const Expected& expected, uint32_t threads = 32) {
  for (const Order order : kOrders) {
    const auto words = lanes(text, order, threads);
    for (uint32_t lane = 0; lane < threads; ++lane) {
      ASSERT_EQ(words[lane], static_cast<uint32_t>(expected(lane))) << text << ", lane " << lane;
    }
  }
}

TEST(Warp, ShufflesReadOtherLanes) {
  expect_lanes("shfl.sync.bfly.b32 %w0, %w1, 5, 31, -1;", [](uint32_t l) { return l ^ 5; });
  expect_lanes("shfl.sync.up.b32 %w0, %w1, 3, 0, -1;", [](uint32_t l) { return l < 3 ? l : l - 3; });
  expect_lanes("shfl.sync.down.b32 %w0, %w1, 3, 31, -1;", [](uint32_t l) { return l > 28 ? l : l + 3; });
  expect_lanes("shfl.sync.idx.b32 %w0, %w1, 7, 31, -1;", [](uint32_t) { return 7; });
}

TEST(Warp, SegmentsBoundShuffles) {
  // c = (segment mask << 8) | clamp: segments of 8 lanes have the mask 24.
  expect_lanes("shfl.sync.down.b32 %w0, %w1, 1, 6175, -1;",
               [](uint32_t l) { return l % 8 == 7 ? l : l + 1; });
  expect_lanes("shfl.sync.up.b32 %w0, %w1, 1, 6144, -1;", [](uint32_t l) { return l % 8 == 0 ? l : l - 1; });
  expect_lanes("shfl.sync.idx.b32 %w0, %w1, 2, 6175, -1;", [](uint32_t l) { return l / 8 * 8 + 2; });
}

TEST(Warp, ShufflesTellWhetherTheSourceWasInRange) {
  expect_lanes("shfl.sync.down.b32 %w2|%p0, %w1, 3, 31, -1;\nselp.b32 %w0, 1, 0, %p0;",
               [](uint32_t l) { return l <= 28; });
}

TEST(Warp, VotesCountTheLanesOfTheMask) {
  const std::string odd = "and.b32 %w2, %w1, 1;\nsetp.ne.b32 %p1, %w2, 0;\n";
  expect_lanes(odd + "vote.sync.ballot.b32 %w0, %p1, -1;", [](uint32_t) { return 0xaaaaaaaau; });
  expect_lanes(odd + "vote.sync.any.pred %p0, %p1, -1;\nselp.b32 %w0, 1, 0, %p0;",
               [](uint32_t) { return 1; });
  expect_lanes(odd + "vote.sync.all.pred %p0, %p1, -1;\nselp.b32 %w0, 1, 0, %p0;",
               [](uint32_t) { return 0; });
  expect_lanes(
      odd + "vote.sync.ballot.b32 %w0, !%p1, -1;", [](uint32_t) { return 0x15555u; }, 17);
}

TEST(Warp, ReductionsAndMatches) {
  expect_lanes("redux.sync.add.u32 %w0, %w1, -1;", [](uint32_t) { return 496; });
  expect_lanes("redux.sync.max.s32 %w0, %w1, -1;", [](uint32_t) { return 31; });
  expect_lanes("redux.sync.xor.b32 %w0, %w1, -1;", [](uint32_t) { return 0; });
  expect_lanes("and.b32 %w2, %w1, 1;\nmatch.any.sync.b32 %w0, %w2, -1;",
               [](uint32_t l) { return l % 2 == 0 ? 0x55555555u : 0xaaaaaaaau; });
}

TEST(Warp, HalvesMeetApart) {
  // The halves take different branches and shuffle there, each with its own mask.
  expect_lanes(R"(setp.lt.u32 %p1, %w1, 16;
@%p1 bra LOW;
shfl.sync.bfly.b32 %w0, %w1, 1, 31, 0xffff0000;
bra DONE;
LOW:
shfl.sync.bfly.b32 %w0, %w1, 2, 31, 0x0000ffff;
DONE:)",
               [](uint32_t l) { return l < 16 ? l ^ 2 : l ^ 1; });
}

TEST(Warp, LanesJoinAgainBehindBranches) {
  PtxHarness harness;
  // Odd lanes go round the loop once, even lanes twice; all meet at the shuffle.
  expect_lanes(R"(and.b32 %w2, %w1, 1;
AGAIN:
add.u32 %w2, %w2, 1;
setp.lt.u32 %p1, %w2, 2;
@%p1 bra AGAIN;
shfl.sync.bfly.b32 %w0, %w2, 1, 31, -1;)",
               [](uint32_t) { return 2; });
}

TEST(Warp, MatrixProductsHaveTheLayoutOfThePtxManual) {
  // A[row][k] = row + k / 16 (in bf16: exact), B[k][column] = k == column: so D[row][column] =
  // A[row][column].
  PtxHarness harness;
  std::vector<uint64_t> inputs;
  const auto bf = [](float value) { return std::bit_cast<uint32_t>(value) >> 16; };
  const auto a = [](int row, int k) { return static_cast<float>(row) + static_cast<float>(k) / 16; };
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = 2 * (lane % 4);
    for (int r = 0; r < 4; ++r) {
      const int row = g + 8 * (r % 2), k = t + 8 * (r / 2);
      inputs.push_back(bf(a(row, k)) | bf(a(row, k + 1)) << 16);
    }
    for (int r = 0; r < 2; ++r) inputs.push_back(r == 0 ? bf(t == g) | bf(t + 1 == g) << 16 : 0);
  }
  std::string body =
      "mov.u32 %w1, %tid.x;\nmad.wide.u32 %d1, %w1, 48, %in;\nmad.wide.u32 %d7, %w1, 32, %out;\n";
  for (int i = 0; i < 6; ++i) body += fmt::format("ld.global.b32 %w{}, [%d1+{}];\n", 2 + i, 8 * i);
  body +=
      "mov.b32 %w8, 0f00000000;\nmma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%w9, %w10, %w11, "
      "%w12}, {%w2, %w3, "
      "%w4, %w5}, {%w6, %w7}, {%w8, %w8, %w8, %w8};\n";
  for (int i = 0; i < 4; ++i) body += fmt::format("st.global.b32 [%d7+{}], %w{};\n", 8 * i, 9 + i);
  const auto words = harness.run(body, std::vector<uint64_t>(128), inputs, 32);
  for (int lane = 0; lane < 32; ++lane) {
    for (int r = 0; r < 4; ++r) {
      const float expected = a(lane / 4 + 8 * (r / 2), 2 * (lane % 4) + r % 2);
      ASSERT_EQ(words[static_cast<size_t>(4 * lane + r)], std::bit_cast<uint32_t>(expected))
          << lane << " " << r;
    }
  }
}

TEST(Warp, MatricesAreLoadedStraightOrTransposed) {
  // Shared memory holds the numbers 0 to 63 as an 8 x 8 matrix of 16 bits.
  const std::string fill = R"(mov.u32 %w2, dynamic;
shl.b32 %w3, %w1, 1;
add.u32 %w4, %w3, 1;
shl.b32 %w5, %w4, 16;
or.b32 %w5, %w5, %w3;
shl.b32 %w6, %w1, 2;
add.u32 %w6, %w6, %w2;
st.shared.b32 [%w6], %w5;
bar.warp.sync -1;
and.b32 %w7, %w1, 7;
shl.b32 %w7, %w7, 4;
add.u32 %w7, %w7, %w2;
)";
  PtxHarness harness;
  const std::string head = "mov.u32 %w1, %tid.x;\nmad.wide.u32 %d7, %w1, 8, %out;\n" + fill;
  const auto straight =
      harness.run(head + "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%w0}, [%w7];\nst.global.b32 [%d7], %w0;",
                  std::vector<uint64_t>(32), {}, 32, 1, 128);
  const auto turned = harness.run(
      head + "ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%w0}, [%w7];\nst.global.b32 [%d7], %w0;",
      std::vector<uint64_t>(32), {}, 32, 1, 128);
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const uint32_t row = lane / 4, column = 2 * (lane % 4);
    ASSERT_EQ(straight[lane], (8 * row + column) | (8 * row + column + 1) << 16);
    ASSERT_EQ(turned[lane], (8 * column + row) | (8 * (column + 1) + row) << 16);
  }
}

TEST(Warp, AsynchronousCopiesHappenWhenTheyAreAwaited) {
  const auto copy = [](const char* wait) {
    PtxHarness harness;
    return harness.run(
        fmt::format("mov.u32 %w2, dynamic;\ncp.async.ca.shared.global [%w2], [%in], 8, 4;\n"
                    "cp.async.commit_group;\n{}\nld.shared.b64 %d1, [%w2];\nst.global.b64 [%out], "
                    "%d1;\ncp.async.wait_all;",
                    wait),
        {0}, {0x1122334455667788ull}, 1, 1, 16)[0];
  };
  EXPECT_EQ(copy("cp.async.wait_group 0;"), 0x55667788u);
  EXPECT_EQ(copy("cp.async.wait_group 1;"), ~0ull);
}

}  // namespace
}  // namespace prospect::emulator
