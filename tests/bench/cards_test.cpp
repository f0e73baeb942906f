// What performance cards are made with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "bench/cards/card.h"
#include "bench/cards/prediction.h"
#include "bench/cards/ptxas.h"
#include "kernels/common/device_attribute.h"
#include "kernels/common/error.h"
#include "tests/emulator/op_table.h"
#include "tests/support/temporary_folder.h"

namespace prospect::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const Machine& kH200 = kMachines[0];

InstructionCost cost(const std::string& spelling) {
  emulator::Instruction instruction;
  instruction.op = &emulator::op_table().find(spelling)->front();
  return cost_of(instruction);
}

TEST(InstructionCost, KnowsThePipeOfAnInstruction) {
  EXPECT_EQ(cost("fma.rn.f32").fp32, 1);
  EXPECT_EQ(cost("fma.rn.f64").fp64, 1);
  EXPECT_EQ(cost("add.s32").integer, 1);
  EXPECT_EQ(cost("add.s64").integer, 2);
  EXPECT_EQ(cost("ex2.approx.ftz.f32").special, 1);
  EXPECT_EQ(cost("shfl.sync.bfly.b32").exchange, 1);
  EXPECT_EQ(cost("mov.f32").integer, 0);
  EXPECT_EQ(cost("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32").tensor_flops, 4096);
}

TEST(InstructionCost, AWarpgroupsProductIsSharedByItsWarps) {
  const InstructionCost of_warp = cost("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"),
                        of_group = cost("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16");
  EXPECT_EQ(of_warp.warp_flops, 4096);
  EXPECT_EQ(of_group.tensor_flops, 2 * 64 * 128 * 16 / 4);
  EXPECT_EQ(of_group.warp_flops, 0);
}

TEST(InstructionCost, EveryInstructionThatIsEmulatedHasARule) {
  emulator::op_table().for_each([](const emulator::Op& row) {
    emulator::Instruction instruction;
    instruction.op = &row;
    EXPECT_NO_THROW(cost_of(instruction)) << row.spelling;
  });
}

TEST(InstructionCost, RefusesWhatHasNoRule) {
  emulator::Op op;
  op.spelling = "frobnicate.b32";
  emulator::Instruction instruction;
  instruction.op = &op;
  EXPECT_THROW(cost_of(instruction), std::runtime_error);
}

TEST(ShortName, DropsNamespacesAndParameters) {
  EXPECT_EQ(
      short_name("void prospect::kernels::cuda::(anonymous namespace)::norm_kernel<prospect::bf16, true>("
                 "prospect::kernels::Norm<prospect::bf16>)"),
      "norm_kernel<bf16, true>");
  EXPECT_EQ(short_name("prospect::kernels::cuda::fill(float*)"), "fill");
}

/// A kernel of 132 blocks that moves so many bytes and multiplies so much.
KernelWork work(double bytes, double tensor_flops) {
  KernelWork work;
  work.launches = 1;
  work.blocks = 132;
  work.memory_bytes = bytes;
  work.cost.tensor_flops = tensor_flops;
  return work;
}

TEST(Prediction, TheLargestResourceBounds) {
  const Clocks streaming = predict(work(4.8e12, 0), kH200);
  EXPECT_STREQ(kResources[streaming.bound()], "memory");
  EXPECT_NEAR(streaming.most(), kH200.clock_hz, 1);  // a second
  const Clocks product = predict(work(0, 989.4e12), kH200);
  EXPECT_STREQ(kResources[product.bound()], "tensor");
  EXPECT_NEAR(product.most(), kH200.clock_hz, 1e-4 * kH200.clock_hz);
}

TEST(Prediction, ProductsOfSingleWarpsAreSlowerOnHopper) {
  KernelWork product = work(0, 989.4e12);
  product.cost.warp_flops = product.cost.tensor_flops / 2;
  EXPECT_LT(kH200.warp_products, 1);
  EXPECT_NEAR(predict(product, kH200).most(), (0.5 + 0.5 / kH200.warp_products) * kH200.clock_hz,
              1e-4 * kH200.clock_hz);
}

TEST(Prediction, ABlockTooManyCostsAWholeOne) {
  KernelWork even = work(0, 132e9), ragged = even;
  ragged.blocks = 133;
  ragged.cost.tensor_flops *= 133.0 / 132;
  EXPECT_NEAR(predict(ragged, kH200).most(), 2 * predict(even, kH200).most(), 1);
}

TEST(Prediction, OccupancyIsBoundByTheScarcest) {
  EXPECT_EQ(resident_warps(256, 32, 0, kH200), 64);         // threads
  EXPECT_EQ(resident_warps(256, 128, 0, kH200), 16);        // registers: 2 blocks
  EXPECT_EQ(resident_warps(128, 32, 100 << 10, kH200), 8);  // shared memory: 2 blocks
  EXPECT_EQ(resident_warps(32, 16, 0, kH200), 32);          // blocks
  EXPECT_EQ(resident_warps(256, 255, 0, kH200), 8);         // registers come in units of 256 a warp
  EXPECT_EQ(resident_warps(32, 16, 228 << 10, kH200), 0);
}

/// A case without kernels that notes each run.
Case noted(std::vector<int>& runs, bool asks) {
  return {asks ? "asks" : "does not ask", [&runs, asks](Arrays&) {
            return Work{.bytes = 1, .run = [&runs, asks](kernels::cuda::Stream) {
                          runs.push_back(asks ? kernels::cuda::multiprocessors("test") : 0);
                        }};
          }};
}

TEST(Card, OnlyACaseThatAsksForTheMultiprocessorsRunsForEachMachine) {
  std::vector<int> asking, others;
  make_card({noted(others, false), noted(asking, true), noted(others, false)}, {});
  EXPECT_THAT(asking, ElementsAre(kMachines[0].multiprocessors, kMachines[1].multiprocessors));
  EXPECT_THAT(others, ElementsAre(0, 0));
}

Table table(std::vector<std::vector<std::string>> rows) {
  return {{}, {"case", "kernel", "count", "bound"}, std::move(rows)};
}

TEST(CardTable, TwoPercentAreTheSame) {
  const Table before = table({{"a", "k", "100", "memory"}});
  EXPECT_THAT(before.differences(table({{"a", "k", "101.9", "memory"}}), 2, 0.02), IsEmpty());
  EXPECT_THAT(before.differences(table({{"a", "k", "102.1", "memory"}}), 2, 0.02),
              ElementsAre("a, k: count was 100, is 102.1"));
  EXPECT_THAT(before.differences(table({{"a", "k", "97", "memory"}}), 2, 0.02),
              ElementsAre("a, k: count was 100, is 97"));
  EXPECT_THAT(before.differences(table({{"a", "k", "100", "l2"}}), 2, 0.02),
              ElementsAre("a, k: bound was memory, is l2"));
}

TEST(CardTable, RowsThatComeAndGoAreDifferences) {
  const Table before = table({{"a", "k", "1", "-"}});
  EXPECT_THAT(before.differences(table({{"b", "k", "1", "-"}}), 2, 0.02),
              ElementsAre("b, k: not in the table", "a, k: no longer there"));
}

TEST(CardTable, ComesBackFromItsFile) {
  const test::TemporaryFolder folder;
  const std::string path = (folder.path() / "t.tsv").string();
  Table written = table({{"a", "k<x, y>", "1", "-"}, {"a", "", "", "-"}});
  written.comments = {"# compiler"};
  written.write(path);
  const Table read = Table::read(path);
  EXPECT_EQ(read.comments, written.comments);
  EXPECT_EQ(read.columns, written.columns);
  EXPECT_EQ(read.rows, written.rows);
  std::ofstream(path, std::ios::app) << "too\tshort\n";
  try {
    Table::read(path);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(":5 has 2 cells, not 4"));
  }
}

TEST(Spills, NeedARow) {
  const Table ptxas{
      {}, {}, {{"k", "sm_80", "64", "8", "8", "16", "0"}, {"k", "sm_90a", "64", "0", "0", "0", "0"}}};
  const auto allowed = [](const char* bytes) { return Table{{}, {}, {{"k", "sm_80", bytes, "because"}}}; };
  EXPECT_THAT(forbidden_spills(ptxas, {}), ElementsAre("k, sm_80: spills 16 bytes, 0 are allowed"));
  EXPECT_THAT(forbidden_spills(ptxas, allowed("12")),
              ElementsAre("k, sm_80: spills 16 bytes, 12 are allowed"));
  EXPECT_THAT(forbidden_spills(ptxas, allowed("16")), IsEmpty());
}

TEST(Ptxas, ReadsReports) {
  const PtxasReport report = read_ptxas_report(
      "ptxas info    : 0 bytes gmem\n"
      "ptxas info    : (C7511) Potential Performance Loss: wgmma.mma_async instructions are serialized due "
      "to "
      "insufficient register resources for the wgmma pipeline in the function '_Z1kv'\n"
      "ptxas info    : Compiling entry function '_Z1kv' for 'sm_90a'\n"
      "ptxas info    : Function properties for _Z1kv\n"
      "    24 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads\n"
      "ptxas info    : Used 40 registers, used 1 barriers, 528 bytes smem, 400 bytes cmem[0]\n",
      "sm_90a");
  EXPECT_THAT(report.table.rows, ElementsAre(ElementsAre("k", "sm_90a", "40", "4", "8", "24", "528")));
  EXPECT_THAT(report.serialised, ElementsAre(HasSubstr("C7511")));
}

}  // namespace
}  // namespace prospect::bench
