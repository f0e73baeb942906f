// main() of the emulator's own tests: behind all of them, every row of the table of opcodes must have run.
#include "tests/emulator/op_coverage.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace prospect::emulator {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

void nothing(Warp&, const Instruction&, LaneMask) {}

TEST(OpCoverage, ARowWithoutATestIsNamed) {
  OpTable table;
  table.add("neg{,.ftz}.f32", "Ww", nothing);
  table.add("mov.b64", "D(ww)", nothing);
  table.add("mov.b64", "D(hhhh)", nothing);
  OpCoverage coverage;
  coverage.note(table.find("neg.f32")->at(0));
  coverage.note(table.find("mov.b64")->at(1));
  EXPECT_THAT(coverage.missing(table), ElementsAre("mov.b64 D(ww)", "neg.ftz.f32 Ww"));
  coverage.note(table.find("neg.ftz.f32")->at(0));
  coverage.note(table.find("mov.b64")->at(0));
  EXPECT_THAT(coverage.missing(table), IsEmpty());
}

/// Whether all tests run: else rows are missing for no fault of theirs.
bool runs_all() {
  return GTEST_FLAG_GET(filter) == "*" && !GTEST_FLAG_GET(list_tests) &&
         std::getenv("GTEST_TOTAL_SHARDS") == nullptr;
}

int run(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  const bool checks = runs_all();
  const int result = RUN_ALL_TESTS();
  if (!checks) return result;
  const std::vector<std::string> missing = OpCoverage::of_harness().missing(op_table());
  if (missing.empty()) return result;
  fmt::print("{} rows of the table of opcodes are run by no test:\n", missing.size());
  for (const std::string& row : missing) fmt::print("  {}\n", row);
  return 1;
}

}  // namespace
}  // namespace prospect::emulator

int main(int argc, char** argv) {
  return prospect::emulator::run(argc, argv);
}
