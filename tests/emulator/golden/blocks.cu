// Copies, matrix loads and products: instructions that need shared memory or a whole warp's fragments.
#include "kernels/common/ptx.cuh"
#include "tests/emulator/golden/kernels.h"

namespace prospect::emulator::golden {
namespace {

using namespace kernels::cuda;  // NOLINT

constexpr int kWarp = 32;

/// in: a [32, 4], b [32, 2], c [32, 4].
__global__ void multiply_add_kernel(const uint32_t* in, uint32_t* out) {
  const int lane = threadIdx.x;
  uint32_t a[4];
  float c[4];
  for (int r = 0; r < 4; ++r) a[r] = in[4 * lane + r];
  // What is added is of the size of the products.
  for (int r = 0; r < 4; ++r) c[r] = __uint_as_float(in[6 * kWarp + 4 * lane + r] << 16);
  ptx::multiply_add(c, a, in[4 * kWarp + 2 * lane], in[4 * kWarp + 2 * lane + 1]);
  for (int r = 0; r < 4; ++r) out[4 * lane + r] = __float_as_uint(c[r]);
}
void multiply_add(const uint32_t* in, uint32_t* out) {
  multiply_add_kernel<<<1, kWarp>>>(in, out);
}

/// in: 32 rows of 16 bytes, in any order. out [32, 4].
template <bool kTransposed>
__global__ void load_kernel(const uint32_t* in, uint32_t* out) {
  __shared__ __align__(16) uint32_t shared[4 * kWarp];
  const int lane = threadIdx.x;
  for (int i = lane; i < 4 * kWarp; i += kWarp) shared[i] = in[i];
  __syncwarp();
  const uint32_t row = ptx::shared_address(shared) + 16 * (lane * 11 % kWarp);
  uint32_t fragment[4];
  if (kTransposed) {
    ptx::load_matrices_transposed(fragment, row);
  } else {
    ptx::load_matrices(fragment, row);
  }
  for (int r = 0; r < 4; ++r) out[4 * lane + r] = fragment[r];
}
template <bool kTransposed>
void load(const uint32_t* in, uint32_t* out) {
  load_kernel<kTransposed><<<1, kWarp>>>(in, out);
}

/// Every third copy brings zeros only; two groups, awaited one after another.
__global__ void copy_kernel(const uint32_t* in, uint32_t* out) {
  __shared__ __align__(16) uint32_t wide[4 * kWarp];
  __shared__ uint32_t narrow[kWarp];
  const int lane = threadIdx.x;
  ptx::copy_async(ptx::shared_address(wide + 4 * lane), in + 4 * lane, lane % 3 == 0 ? 0 : 16);
  ptx::commit_copies();
  ptx::copy_async_word(ptx::shared_address(narrow + lane), in + 4 * kWarp + lane, lane % 3 == 1 ? 0 : 4);
  ptx::commit_copies();
  ptx::wait_for_copies<1>();
  for (int r = 0; r < 4; ++r) out[4 * lane + r] = wide[4 * lane + r];
  ptx::wait_for_copies<0>();
  out[4 * kWarp + lane] = narrow[lane];
}
void copy(const uint32_t* in, uint32_t* out) {
  copy_kernel<<<1, kWarp>>>(in, out);
}

/// Two warps meet at a barrier of their own before they read each other's vectors.
__global__ void store_kernel(const uint32_t* in, uint32_t* out) {
  __shared__ __align__(16) float shared[6 * 2 * kWarp];
  const int t = threadIdx.x;
  const auto at = [&](int i) { return __uint_as_float(in[6 * t + i]); };
  ptx::store_shared(ptx::shared_address(shared + 4 * t), make_float4(at(0), at(1), at(2), at(3)));
  ptx::store_shared(ptx::shared_address(shared + 8 * kWarp + 2 * t), make_float2(at(4), at(5)));
  ptx::barrier(3, 2 * kWarp);
  for (int i = 0; i < 6; ++i) out[6 * t + i] = __float_as_uint(shared[12 * kWarp - 1 - (6 * t + i)]);
}
void store(const uint32_t* in, uint32_t* out) {
  store_kernel<<<1, 2 * kWarp>>>(in, out);
}

// Of the sum of an element, 16 products of numbers up to 1 and what they are added to, the tensor core may
// drop what is below 2^-23 of the largest at each addition, and so may the emulator by rounding.
constexpr Tolerance kSum{Agreement::Absolute, 2 * 17 * 0x1p-23};

constexpr Launcher kInstructions[] = {
    {"multiply_add", Operands::Bf16Pairs, 10 * kWarp, 4 * kWarp, kSum, multiply_add},
    {"load_matrices", Operands::Bits, 4 * kWarp, 4 * kWarp, {}, load<false>},
    {"load_matrices_transposed", Operands::Bits, 4 * kWarp, 4 * kWarp, {}, load<true>},
    {"copy_async", Operands::Bits, 5 * kWarp, 5 * kWarp, {}, copy},
    {"store_shared", Operands::Bits, 12 * kWarp, 12 * kWarp, {}, store},
};

}  // namespace

std::span<const Launcher> block_instructions() {
  return kInstructions;
}

}  // namespace prospect::emulator::golden
