// Instructions of one thread: the wrappers of ptx.cuh, and what nvcc makes of arithmetic, conversions and
// bits.
#include "kernels/common/ptx.cuh"
#include "tests/emulator/golden/kernels.h"

namespace prospect::emulator::golden {
namespace {

using namespace kernels::cuda;  // NOLINT

__device__ float number(uint32_t word) {
  return __uint_as_float(word);
}
__device__ double wide_number(uint32_t low, uint32_t high) {
  return __hiloint2double(static_cast<int>(high), static_cast<int>(low));
}
__device__ uint2 word(uint32_t value) {
  return {value, 0};
}
__device__ uint2 word(float value) {
  return {__float_as_uint(value), 0};
}
__device__ uint2 words(uint64_t value) {
  return {static_cast<uint32_t>(value), static_cast<uint32_t>(value >> 32)};
}
__device__ uint2 words(double value) {
  return words(static_cast<uint64_t>(__double_as_longlong(value)));
}

template <uint2 (*apply)(uint4)>
__global__ void map_kernel(const uint32_t* in, int operands, uint32_t* out) {
  const int t = threadIdx.x;
  const auto operand = [&](int i) { return i < operands ? in[i * kThreads + t] : 0; };
  const uint2 result = apply({operand(0), operand(1), operand(2), operand(3)});
  out[t] = result.x;
  out[kThreads + t] = result.y;
}

template <uint2 (*apply)(uint4), int operands>
void map(const uint32_t* in, uint32_t* out) {
  map_kernel<apply><<<1, kThreads>>>(in, operands, out);
}

// --- Wrappers.

__device__ uint2 round_to_bf16(uint4 x) {
  return word(uint32_t{ptx::round_to_bf16(number(x.x))});
}
__device__ uint2 round_to_bf16x2(uint4 x) {
  return word(ptx::round_to_bf16x2(number(x.x), number(x.y)));
}
__device__ uint2 exp2_approximate(uint4 x) {
  return word(ptx::exp2_approximate(number(x.x)));
}
__device__ uint2 reciprocal_approximate(uint4 x) {
  return word(ptx::reciprocal_approximate(number(x.x)));
}
__device__ uint2 max_or_nan(uint4 x) {
  return word(ptx::max_or_nan(number(x.x), number(x.y)));
}

// --- Approximations that nvcc makes of functions of its library.

__device__ uint2 ex2(uint4 x) {
  float y;
  asm("ex2.approx.f32 %0, %1;" : "=f"(y) : "f"(number(x.x)));
  return word(y);
}
__device__ uint2 lg2(uint4 x) {
  float y;
  asm("lg2.approx.f32 %0, %1;" : "=f"(y) : "f"(number(x.x)));
  return word(y);
}
__device__ uint2 lg2_ftz(uint4 x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(number(x.x)));
  return word(y);
}
__device__ uint2 rcp(uint4 x) {
  float y;
  asm("rcp.approx.f32 %0, %1;" : "=f"(y) : "f"(number(x.x)));
  return word(y);
}
__device__ uint2 rsqrt_approximate(uint4 x) {
  float y;
  asm("rsqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(number(x.x)));
  return word(y);
}
__device__ uint2 rsqrt_ftz(uint4 x) {
  float y;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(number(x.x)));
  return word(y);
}
__device__ uint2 sqrt_approximate(uint4 x) {
  float y;
  asm("sqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(number(x.x)));
  return word(y);
}
__device__ uint2 sine(uint4 x) {
  float y;
  asm("sin.approx.f32 %0, %1;" : "=f"(y) : "f"(number(x.x)));
  return word(y);
}
__device__ uint2 cosine(uint4 x) {
  float y;
  asm("cos.approx.f32 %0, %1;" : "=f"(y) : "f"(number(x.x)));
  return word(y);
}
__device__ uint2 tanh_approximate(uint4 x) {
  float y;
  asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(number(x.x)));
  return word(y);
}
__device__ uint2 div_full(uint4 x) {
  float y;
  asm("div.full.f32 %0, %1, %2;" : "=f"(y) : "f"(number(x.x)), "f"(number(x.y)));
  return word(y);
}
/// As floats, for its low bits are anything: the result, and its product with the operand, near 1 where the
/// result itself is beyond floats.
__device__ uint2 rcp_f64(uint4 x) {
  double y;
  asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(y) : "d"(wide_number(x.x, x.y)));
  return {word(static_cast<float>(y)).x, word(static_cast<float>(y * fabs(wide_number(x.x, x.y)))).x};
}

// --- Arithmetic that is rounded.

__device__ uint2 add(uint4 x) {
  return word(__fadd_rn(number(x.x), number(x.y)));
}
__device__ uint2 mul(uint4 x) {
  return word(__fmul_rn(number(x.x), number(x.y)));
}
__device__ uint2 mul_ftz(uint4 x) {
  float y;
  asm("mul.ftz.f32 %0, %1, %2;" : "=f"(y) : "f"(number(x.x)), "f"(number(x.y)));
  return word(y);
}
__device__ uint2 fma_rn(uint4 x) {
  return word(__fmaf_rn(number(x.x), number(x.y), number(x.z)));
}
__device__ uint2 fma_rm(uint4 x) {
  return word(__fmaf_rd(number(x.x), number(x.y), number(x.z)));
}
__device__ uint2 div_rn(uint4 x) {
  return word(__fdiv_rn(number(x.x), number(x.y)));
}
__device__ uint2 rcp_rn(uint4 x) {
  return word(__frcp_rn(number(x.x)));
}
__device__ uint2 sqrt_rn(uint4 x) {
  return word(__fsqrt_rn(number(x.x)));
}
__device__ uint2 minimum(uint4 x) {
  return word(fminf(number(x.x), number(x.y)));
}
__device__ uint2 maximum(uint4 x) {
  return word(fmaxf(number(x.x), number(x.y)));
}
__device__ uint2 sign_of(uint4 x) {
  return word(copysignf(number(x.x), number(x.y)));
}
__device__ uint2 div_f64(uint4 x) {
  return words(__ddiv_rn(wide_number(x.x, x.y), wide_number(x.z, x.w)));
}
__device__ uint2 sqrt_f64(uint4 x) {
  return words(__dsqrt_rn(fabs(wide_number(x.x, x.y))));
}
__device__ uint2 fma_f64(uint4 x) {
  const double a = wide_number(x.x, x.y), b = wide_number(x.z, x.w);
  return words(__fma_rn(a, b, a));
}

// --- Conversions.

__device__ uint2 to_int_nearest(uint4 x) {
  return word(static_cast<uint32_t>(__float2int_rn(number(x.x))));
}
__device__ uint2 to_int_zero(uint4 x) {
  return word(static_cast<uint32_t>(__float2int_rz(number(x.x))));
}
__device__ uint2 to_int_down(uint4 x) {
  return word(static_cast<uint32_t>(__float2int_rd(number(x.x))));
}
__device__ uint2 to_int_up(uint4 x) {
  return word(static_cast<uint32_t>(__float2int_ru(number(x.x))));
}
__device__ uint2 to_unsigned_zero(uint4 x) {
  return word(__float2uint_rz(number(x.x)));
}
__device__ uint2 to_long_zero(uint4 x) {
  return words(static_cast<uint64_t>(__double2ll_rz(wide_number(x.x, x.y))));
}
__device__ uint2 round_even(uint4 x) {
  return word(rintf(number(x.x)));
}
__device__ uint2 saturate(uint4 x) {
  return word(__saturatef(number(x.x)));
}
__device__ uint2 from_int(uint4 x) {
  return word(__int2float_rn(static_cast<int>(x.x)));
}
__device__ uint2 double_from_int(uint4 x) {
  return words(__int2double_rn(static_cast<int>(x.x)));
}
__device__ uint2 from_long(uint4 x) {
  return word(__ull2float_rn(uint64_t{x.y} << 32 | x.x));
}
__device__ uint2 from_double(uint4 x) {
  return word(__double2float_rn(wide_number(x.x, x.y)));
}
__device__ uint2 to_double(uint4 x) {
  return words(static_cast<double>(number(x.x)));
}
__device__ uint2 relu_bf16x2(uint4 x) {
  uint32_t y;
  asm("cvt.rn.relu.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(number(x.x)), "f"(number(x.y)));
  return word(y);
}

// --- Bits.

__device__ uint2 prmt(uint4 x) {
  return word(__byte_perm(x.x, x.y, x.z));
}
__device__ uint2 prmt_with_signs(uint4 x) {
  uint32_t y;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(y) : "r"(x.x), "r"(x.y), "r"(x.z));
  return word(y);
}
__device__ uint2 lop3(uint4 x) {
  uint32_t y, z;
  asm("lop3.b32 %0, %1, %2, %3, 0x2d;" : "=r"(y) : "r"(x.x), "r"(x.y), "r"(x.z));
  asm("lop3.b32 %0, %1, %2, %3, 0xe8;" : "=r"(z) : "r"(x.x), "r"(x.y), "r"(x.z));
  return {y, z};
}
__device__ uint2 shf(uint4 x) {
  return {__funnelshift_l(x.x, x.y, x.z), __funnelshift_rc(x.x, x.y, x.z % 40)};
}
__device__ uint2 bfe(uint4 x) {
  uint32_t y, z;
  asm("bfe.u32 %0, %1, %2, %3;" : "=r"(y) : "r"(x.x), "r"(x.y % 40), "r"(x.z % 40));
  asm("bfe.s32 %0, %1, %2, %3;" : "=r"(z) : "r"(x.x), "r"(x.y % 40), "r"(x.z % 40));
  return {y, z};
}
__device__ uint2 bfi(uint4 x) {
  uint32_t y;
  asm("bfi.b32 %0, %1, %2, %3, %4;" : "=r"(y) : "r"(x.x), "r"(x.y), "r"(x.z % 40), "r"(x.w % 40));
  return word(y);
}
__device__ uint2 bfi_wide(uint4 x) {
  uint64_t y;
  const uint64_t field = uint64_t{x.y} << 32 | x.x, into = ~field * 5;
  asm("bfi.b64 %0, %1, %2, %3, %4;" : "=l"(y) : "l"(field), "l"(into), "r"(x.z % 80), "r"(x.w % 80));
  return words(y);
}
__device__ uint2 counts(uint4 x) {
  const uint32_t few = x.x >> x.y % 32;  // from none to 32 bits
  return {static_cast<uint32_t>(__popc(few)) << 8 | static_cast<uint32_t>(__clz(static_cast<int>(few))),
          __brev(few)};
}
__device__ uint2 bfind(uint4 x) {
  const uint32_t few = x.x >> x.y % 32;
  uint32_t y, z;
  asm("bfind.u32 %0, %1;" : "=r"(y) : "r"(few));
  asm("bfind.shiftamt.u32 %0, %1;" : "=r"(z) : "r"(few));
  return {y, z};
}
__device__ uint2 products(uint4 x) {
  return {__umulhi(x.x, x.y), static_cast<uint32_t>(__mulhi(static_cast<int>(x.x), static_cast<int>(x.y)))};
}

/// Divisors of all sizes, and none of them 0.
__device__ uint2 quotients(uint4 x) {
  const uint32_t divisor = x.y >> x.z % 32 | 1;
  return {x.x / divisor, static_cast<uint32_t>(static_cast<int>(x.x) / static_cast<int>(divisor))};
}
__device__ uint2 remainders(uint4 x) {
  const uint32_t divisor = x.y >> x.z % 32 | 1;
  return {x.x % divisor, static_cast<uint32_t>(static_cast<int>(x.x) % static_cast<int>(divisor))};
}
__device__ uint2 wide_quotient(uint4 x) {
  const auto dividend = static_cast<int64_t>(uint64_t{x.y} << 32 | x.x),
             divisor = int64_t{static_cast<int>(x.z)} << x.w % 20 | 1;
  return words(static_cast<uint64_t>(dividend / divisor));
}

template <uint2 (*apply)(uint4), int operands>
constexpr Launcher of(const char* name, Operands kind, Tolerance tolerance = {}) {
  return {name, kind, operands * kThreads, 2 * kThreads, tolerance, map<apply, operands>};
}

constexpr Tolerance kNumbers{Agreement::Numbers};
/// The largest relative error that the PTX manual gives for an approximation, and half a unit in the last
/// place that the emulator rounds by. `least`: an absolute error that it allows instead where that is more.
constexpr Tolerance within(double documented, double least = 0) {
  return {Agreement::Relative, documented + 0x1p-24, least};
}

// Errors: PTX ISA 9.0, "Floating Point Instructions", of each instruction. lg2 of operands between 0.5 and 2
// has an absolute one. rsqrt: 2^-22.9, which is 0x1.12p-23 and a little. The reciprocal of a double has no
// documented error; its 20 bits of mantissa may be off by one, and the operand's are cut to as many.
constexpr Launcher kInstructions[] = {
    of<round_to_bf16, 1>("round_to_bf16", Operands::Floats),
    of<round_to_bf16x2, 2>("round_to_bf16x2", Operands::Floats),
    of<exp2_approximate, 1>("exp2_approximate", Operands::Floats, within(0x1p-22)),
    of<reciprocal_approximate, 1>("reciprocal_approximate", Operands::Floats, within(0x1p-23)),
    of<max_or_nan, 2>("max_or_nan", Operands::Floats, kNumbers),
    of<ex2, 1>("ex2.approx.f32", Operands::Floats, within(0x1p-22)),
    of<lg2, 1>("lg2.approx.f32", Operands::Positive, within(0x1p-22, 0x1p-22)),
    of<lg2_ftz, 1>("lg2.approx.ftz.f32", Operands::Positive, within(0x1p-22, 0x1p-22)),
    of<rcp, 1>("rcp.approx.f32", Operands::Floats, within(0x1p-23)),
    of<rsqrt_approximate, 1>("rsqrt.approx.f32", Operands::Positive, within(0x1.13p-23)),
    of<rsqrt_ftz, 1>("rsqrt.approx.ftz.f32", Operands::Positive, within(0x1.13p-23)),
    of<sqrt_approximate, 1>("sqrt.approx.f32", Operands::Positive, within(0x1p-23)),
    of<sine, 1>("sin.approx.f32", Operands::Angles, {Agreement::Absolute, 0x1p-20}),
    of<cosine, 1>("cos.approx.f32", Operands::Angles, {Agreement::Absolute, 0x1p-20}),
    of<tanh_approximate, 1>("tanh.approx.f32", Operands::Floats, within(0x1p-11)),
    of<div_full, 2>("div.full.f32", Operands::Units, within(0x1p-22)),
    of<rcp_f64, 2>("rcp.approx.ftz.f64", Operands::Doubles, within(0x1p-19)),
    of<add, 2>("add.rn.f32", Operands::Floats, kNumbers),
    of<mul, 2>("mul.rn.f32", Operands::Floats, kNumbers),
    of<mul_ftz, 2>("mul.ftz.f32", Operands::Floats, kNumbers),
    of<fma_rn, 3>("fma.rn.f32", Operands::Floats, kNumbers),
    of<fma_rm, 3>("fma.rm.f32", Operands::Floats, kNumbers),
    of<div_rn, 2>("div.rn.f32", Operands::Floats, kNumbers),
    of<rcp_rn, 1>("rcp.rn.f32", Operands::Floats, kNumbers),
    of<sqrt_rn, 1>("sqrt.rn.f32", Operands::Positive, kNumbers),
    of<minimum, 2>("min.f32", Operands::Floats, kNumbers),
    of<maximum, 2>("max.f32", Operands::Floats, kNumbers),
    of<sign_of, 2>("copysign.f32", Operands::Floats),
    of<fma_f64, 4>("fma.rn.f64", Operands::Doubles),
    of<div_f64, 4>("div.rn.f64", Operands::Doubles),
    of<sqrt_f64, 2>("sqrt.rn.f64", Operands::Doubles),
    of<to_int_nearest, 1>("cvt.rni.s32.f32", Operands::Floats),
    of<to_int_zero, 1>("cvt.rzi.s32.f32", Operands::Floats),
    of<to_int_down, 1>("cvt.rmi.s32.f32", Operands::Floats),
    of<to_int_up, 1>("cvt.rpi.s32.f32", Operands::Floats),
    of<to_unsigned_zero, 1>("cvt.rzi.u32.f32", Operands::Floats),
    of<to_long_zero, 2>("cvt.rzi.s64.f64", Operands::Doubles),
    of<round_even, 1>("cvt.rni.f32.f32", Operands::Floats, kNumbers),
    of<saturate, 1>("cvt.sat.f32.f32", Operands::Floats),
    of<from_int, 1>("cvt.rn.f32.s32", Operands::Bits),
    of<double_from_int, 1>("cvt.rn.f64.s32", Operands::Bits),
    of<from_long, 2>("cvt.rn.f32.u64", Operands::Bits),
    of<from_double, 2>("cvt.rn.f32.f64", Operands::Doubles),
    of<to_double, 1>("cvt.f64.f32", Operands::Units),
    of<relu_bf16x2, 2>("cvt.rn.relu.bf16x2.f32", Operands::Floats),
    of<prmt, 3>("byte_perm", Operands::Bits),
    of<prmt_with_signs, 3>("prmt.b32", Operands::Bits),
    of<lop3, 3>("lop3.b32", Operands::Bits),
    of<shf, 3>("shf.b32", Operands::Bits),
    of<bfe, 3>("bfe.b32", Operands::Bits),
    of<bfi, 4>("bfi.b32", Operands::Bits),
    of<bfi_wide, 4>("bfi.b64", Operands::Bits),
    of<counts, 2>("popc_clz_brev.b32", Operands::Bits),
    of<bfind, 2>("bfind.u32", Operands::Bits),
    of<products, 2>("mul.hi.b32", Operands::Bits),
    of<quotients, 3>("div.b32", Operands::Bits),
    of<remainders, 3>("rem.b32", Operands::Bits),
    of<wide_quotient, 4>("div.s64", Operands::Bits),
};

}  // namespace

std::span<const Launcher> instructions() {
  return kInstructions;
}

}  // namespace prospect::emulator::golden
