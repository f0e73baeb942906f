// Products of a warpgroup's tensor cores, of each width that wgmma_products.cuh has.
#include "kernels/common/hopper.cuh"
#include "kernels/common/wgmma.cuh"
#include "tests/emulator/golden/kernels.h"

namespace prospect::emulator::golden {
namespace {

using namespace kernels::cuda;  // NOLINT

constexpr int kRowBytes = 128, kDepth = 16, kSteps = 2;
/// Wide products keep one of three or five accumulators: of both halves of all rows.
constexpr int kept(int columns) {
  return columns < 64 ? 1 : columns == 64 ? 3 : 5;
}
constexpr int words_out(int columns) {
  return (columns / 2 + kept(columns) - 1) / kept(columns) * kThreads;
}

/// Panels of 64 columns: a tile with its columns as rows has kSteps * kDepth rows, in as many panels as it is
/// wide.
constexpr int tile_bytes(int rows, bool transposed) {
  return transposed ? (rows + 63) / 64 * kSteps * kDepth * kRowBytes : rows * kRowBytes;
}
__device__ uint64_t descriptor(uint32_t tile, bool transposed, int step) {
  constexpr int kPanelBytes = kSteps * kDepth * kRowBytes;
  return transposed ? ptx::matrix_descriptor(tile + step * kDepth * kRowBytes, kPanelBytes, 1024)
                    : ptx::matrix_descriptor(tile + step * kDepth * 2, 0, 1024);
}

template <int kColumns, bool kARegisters, bool kATransposed, bool kBTransposed>
__global__ void __launch_bounds__(kThreads) wgmma_kernel(const uint32_t* in, uint32_t* out) {
  extern __shared__ __align__(1024) uint32_t shared[];
  const int t = threadIdx.x;
  constexpr int kAWords = kARegisters ? kSteps * kThreads * 4 : 0,
                kABytes = kARegisters ? 0 : tile_bytes(64, kATransposed);
  for (int i = t; i < (kABytes + tile_bytes(kColumns, kBTransposed)) / 4; i += kThreads) {
    shared[i] = in[kAWords + i];
  }
  ptx::fence_async_shared();
  __syncthreads();
  const uint32_t a = ptx::shared_address(shared), b = a + kABytes;
  float sum[kColumns / 2] = {};
  uint32_t own[kSteps][4];
  for (int s = 0; s < kSteps; ++s) {
    for (int r = 0; r < 4; ++r) own[s][r] = kARegisters ? in[(s * kThreads + t) * 4 + r] : 0;
  }
  ptx::pin(sum);
  for (int s = 0; s < kSteps; ++s) ptx::pin(own[s]);
  ptx::begin_products();
#pragma unroll
  for (int s = 0; s < kSteps; ++s) {
    if constexpr (kARegisters) {
      ptx::multiply<kBTransposed>(sum, own[s], descriptor(b, kBTransposed, s), s > 0);
    } else {
      ptx::multiply<kATransposed, kBTransposed>(sum, descriptor(a, kATransposed, s),
                                                descriptor(b, kBTransposed, s), s > 0);
    }
  }
  ptx::commit_products();
  ptx::wait_for_products<0>();
  ptx::pin(sum);
#pragma unroll
  for (int i = 0; i < kColumns / 2; i += kept(kColumns))
    out[i / kept(kColumns) * kThreads + t] = __float_as_uint(sum[i]);
}

// As in multiply_add: 32 products of numbers up to 1 and what they are added to.
constexpr Tolerance kSum{Agreement::Absolute, 2 * 34 * 0x1p-23};

template <int kColumns, bool kARegisters, bool kATransposed, bool kBTransposed>
void launch(const uint32_t* in, uint32_t* out) {
  constexpr int kBytes =
      (kARegisters ? 0 : tile_bytes(64, kATransposed)) + tile_bytes(kColumns, kBTransposed);
  const auto kernel = wgmma_kernel<kColumns, kARegisters, kATransposed, kBTransposed>;
  kernel<<<1, kThreads, kBytes>>>(in, out);
}

template <int kColumns, bool kARegisters, bool kATransposed, bool kBTransposed>
constexpr WgmmaLauncher of(const char* name) {
  constexpr int kInput = (kARegisters ? kSteps * kThreads * 4 : tile_bytes(64, kATransposed) / 4) +
                         tile_bytes(kColumns, kBTransposed) / 4;
  return {{name, Operands::Bf16Pairs, kInput, words_out(kColumns), kSum,
           launch<kColumns, kARegisters, kATransposed, kBTransposed>},
          kColumns,
          kARegisters,
          kATransposed,
          kBTransposed};
}

constexpr WgmmaLauncher kInstructions[] = {
    of<8, false, false, false>("wgmma.m64n8.shared"),
    of<8, true, false, false>("wgmma.m64n8.registers"),
    of<64, false, false, false>("wgmma.m64n64.shared"),
    of<64, false, false, true>("wgmma.m64n64.shared.b_transposed"),
    of<64, false, true, false>("wgmma.m64n64.shared.a_transposed"),
    of<64, false, true, true>("wgmma.m64n64.shared.both_transposed"),
    of<64, true, false, false>("wgmma.m64n64.registers"),
    of<64, true, false, true>("wgmma.m64n64.registers.b_transposed"),
    of<128, false, false, true>("wgmma.m64n128.shared.b_transposed"),
    of<128, true, false, false>("wgmma.m64n128.registers"),
    of<256, false, false, false>("wgmma.m64n256.shared"),
    of<256, true, false, true>("wgmma.m64n256.registers.b_transposed"),
};

}  // namespace

std::span<const WgmmaLauncher> wgmma_instructions() {
  return kInstructions;
}

}  // namespace prospect::emulator::golden
