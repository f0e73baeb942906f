#include "bench/cards/instruction_cost.h"

#include <fmt/format.h>

#include <cstdlib>
#include <stdexcept>
#include <string_view>

namespace prospect::bench {
namespace {

/// The first rule that fits an opcode's beginning and end counts.
struct Rule {
  std::string_view begin, end;
  InstructionCost cost;
};

// Instructions without a counterpart in machine code cost what their expansions do on sm_80 and sm_90:
// division and roots rounded to nearest are an approximation, Newton steps and a test for special cases;
// without .ftz the approximations scale subnormal arguments.
constexpr Rule kRules[] = {
    {"mov.", "", {}},
    {"cvta", "", {}},
    {"ld.param", "", {}},  // constant memory, an operand of what uses it
    {"neg.f", "", {}},     // modifiers of operands
    {"abs.f", "", {}},
    {"trap", "", {}},

    {"add.", ".f64", {.fp64 = 1}},
    {"sub.", ".f64", {.fp64 = 1}},
    {"mul.", ".f64", {.fp64 = 1}},
    {"fma.", ".f64", {.fp64 = 1}},
    {"setp.", ".f64", {.fp64 = 1}},
    {"min.", ".f64", {.integer = 2, .fp64 = 1}},
    {"max.", ".f64", {.integer = 2, .fp64 = 1}},
    {"div.", ".f64", {.integer = 6, .special = 1, .fp64 = 10}},
    {"rcp.", ".f64", {.integer = 4, .special = 1, .fp64 = 6}},
    {"sqrt.", ".f64", {.integer = 6, .special = 1, .fp64 = 10}},

    {"add.", ".f32", {.fp32 = 1}},
    {"sub.", ".f32", {.fp32 = 1}},
    {"mul.", ".f32", {.fp32 = 1}},
    {"fma.", ".f32", {.fp32 = 1}},
    {"add.", "bf16x2", {.fp32 = 1}},
    {"sub.", "bf16x2", {.fp32 = 1}},
    {"mul.", "bf16x2", {.fp32 = 1}},
    {"fma.", "bf16x2", {.fp32 = 1}},
    {"min.", ".f32", {.integer = 1}},
    {"max.", ".f32", {.integer = 1}},
    {"copysign.", "", {.integer = 1}},
    {"div.rn.f32", "", {.fp32 = 8, .integer = 2, .special = 1}},
    {"div.full", "", {.fp32 = 3, .integer = 2, .special = 1}},
    {"div.approx", "", {.fp32 = 1, .special = 1}},
    {"rcp.rn.f32", "", {.fp32 = 3, .integer = 2, .special = 1}},
    {"sqrt.rn.f32", "", {.fp32 = 5, .integer = 2, .special = 1}},
    {"ex2.approx.ftz", "", {.special = 1}},
    {"ex2.approx", "", {.fp32 = 2, .integer = 1, .special = 1}},
    {"lg2.approx.ftz", "", {.special = 1}},
    {"lg2.approx", "", {.fp32 = 2, .integer = 1, .special = 1}},
    {"rcp.approx.ftz", "", {.special = 1}},
    {"rcp.approx", "", {.fp32 = 2, .integer = 1, .special = 1}},
    {"rsqrt.approx.ftz", "", {.special = 1}},
    {"rsqrt.approx", "", {.fp32 = 2, .integer = 1, .special = 1}},
    {"sqrt.approx", "", {.fp32 = 2, .integer = 1, .special = 1}},
    {"sin.approx", "", {.fp32 = 1, .special = 1}},
    {"cos.approx", "", {.fp32 = 1, .special = 1}},
    {"tanh.approx", "", {.special = 1}},

    {"cvt.u64.u32", "", {}},  // a register of zeros beside it
    {"cvt.u32.u64", "", {}},
    {"cvt.f64", "", {.special = 1}},
    {"cvt.", ".f64", {.special = 1}},
    {"cvt.rn.f64", "", {.special = 1}},
    {"cvt.", "", {.integer = 1}},

    {"mul.hi.", "64", {.integer = 8}},
    {"mul.lo.", "64", {.integer = 3}},
    {"mad.lo.", "64", {.integer = 4}},
    {"mul.hi.", "", {.integer = 2}},
    {"mul.", "", {.integer = 1}},
    {"mad.", "", {.integer = 1}},
    {"div.", "64", {.integer = 70, .special = 2}},
    {"rem.", "64", {.integer = 70, .special = 2}},
    {"div.", "", {.integer = 16, .special = 1}},
    {"rem.", "", {.integer = 16, .special = 1}},
    {"popc.", "", {.special = 1}},
    {"clz.", "", {.special = 1}},
    {"bfind.", "", {.special = 1}},
    {"brev.", "", {.special = 1}},
    {"add.", "64", {.integer = 2}},
    {"sub.", "64", {.integer = 2}},
    {"neg.", "64", {.integer = 2}},
    {"min.", "64", {.integer = 4}},
    {"max.", "64", {.integer = 4}},
    {"setp.", "64", {.integer = 2}},
    {"selp.", "64", {.integer = 2}},
    {"and.", "64", {.integer = 2}},
    {"or.", "64", {.integer = 2}},
    {"xor.", "64", {.integer = 2}},
    {"not.", "64", {.integer = 2}},
    {"shl.", "64", {.integer = 2}},
    {"shr.", "64", {.integer = 2}},
    {"bfe.", "64", {.integer = 3}},
    {"add.", "", {.integer = 1}},
    {"sub.", "", {.integer = 1}},
    {"neg.", "", {.integer = 1}},
    {"abs.", "", {.integer = 1}},
    {"min.", "", {.integer = 1}},
    {"max.", "", {.integer = 1}},
    {"setp.", "", {.integer = 1}},
    {"selp.", "", {.integer = 1}},
    {"and.", "", {.integer = 1}},
    {"or.", "", {.integer = 1}},
    {"xor.", "", {.integer = 1}},
    {"not.", "", {.integer = 1}},
    {"shl.", "", {.integer = 1}},
    {"shr.", "", {.integer = 1}},
    {"shf.", "", {.integer = 1}},
    {"prmt.", "", {.integer = 1}},
    {"lop3.", "", {.integer = 1}},
    {"bfe.", "", {.integer = 1}},
    {"bfi.", "", {.integer = 1}},
    {"vote.", "", {.integer = 1}},
    {"match.", "", {.integer = 1}},
    {"elect.", "", {.integer = 1}},
    {"activemask.", "", {.integer = 1}},
    {"redux.", "", {.special = 1}},
    {"shfl.", "", {.exchange = 1}},

    {"bra", "", {.other = 1}},
    {"ret", "", {.other = 1}},
    {"exit", "", {.other = 1}},
    {"bar.", "", {.other = 1}},
    {"barrier.", "", {.other = 1}},
    {"membar.", "", {.other = 1}},
    {"fence.", "", {.other = 1}},
    {"nanosleep.", "", {.other = 1}},
    {"prefetch.", "", {.other = 1}},
    {"ld.", "", {.other = 1}},
    {"ldu.", "", {.other = 1}},
    {"st.", "", {.other = 1}},
    {"atom.", "", {.other = 1}},
    {"red.", "", {.other = 1}},
    {"ldmatrix.", "", {.other = 1}},
    {"stmatrix.", "", {.other = 1}},
    {"cp.async.", "", {.other = 1}},
    {"cp.reduce.async.", "", {.other = 1}},
    {"wgmma.", "", {.other = 1}},
    {"mbarrier.", "", {.other = 1}},
    {"setmaxnreg.", "", {.other = 1}},
    {"griddepcontrol.", "", {.other = 1}},
    {"mapa.", "", {.integer = 1}},
    {"getctarank.", "", {.integer = 1}},
    {"createpolicy.", "", {.integer = 1}},
};

/// "mma.sync.aligned.m16n8k16.row...", "wgmma.mma_async.sync.aligned.m64n128k16...": 2 M N K; tf32 operands
/// at half the rate of bf16.
InstructionCost product_cost(std::string_view spelling) {
  const size_t shape = spelling.rfind(".m");
  char* end = nullptr;
  const double m = std::strtod(spelling.data() + shape + 2, &end);
  const double n = std::strtod(end + 1, &end), k = std::strtod(end + 1, &end);
  const bool is_half_rate = spelling.find("tf32") != std::string_view::npos;
  const double flops = 2 * m * n * k * (is_half_rate ? 2 : 1);
  // Each of the four warps of a warpgroup issues its quarter.
  if (spelling.starts_with("wgmma.")) return {.tensor_flops = flops / 4, .other = 1};
  return {.tensor_flops = flops, .warp_flops = flops, .other = 1};
}

}  // namespace

InstructionCost cost_of(const emulator::Instruction& instruction) {
  const std::string_view spelling = instruction.op->spelling;
  if (spelling.starts_with("mma.") || spelling.starts_with("wgmma.mma")) return product_cost(spelling);
  // Two halves become a word, or a word two halves.
  if (spelling == "mov.b32" && instruction.operands.size() > 2) return {.integer = 1};
  for (const Rule& rule : kRules) {
    if (spelling.starts_with(rule.begin) && spelling.ends_with(rule.end)) return rule.cost;
  }
  throw std::runtime_error(fmt::format("no cost is known for {}", spelling));
}

}  // namespace prospect::bench
