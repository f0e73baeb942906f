// What capability 9.0 added to the work of a block: barriers in shared memory, bulk copies, clusters.
#include "kernels/common/hopper.cuh"
#include "kernels/common/tma.cuh"
#include "tests/emulator/golden/kernels.h"

namespace prospect::emulator::golden {
namespace {

using namespace kernels::cuda;  // NOLINT

constexpr int kWarp = 32;

/// in: fragments [32, 4]. out: 32 rows of 16 bytes.
template <bool kTransposed>
__global__ void store_matrices_kernel(const uint32_t* in, uint32_t* out) {
  __shared__ __align__(16) uint32_t shared[4 * kWarp];
  const int lane = threadIdx.x;
  uint32_t fragment[4];
  for (int r = 0; r < 4; ++r) fragment[r] = in[4 * lane + r];
  const uint32_t row = ptx::shared_address(shared) + 16 * (lane * 11 % kWarp);
  if (kTransposed) {
    ptx::store_matrices_transposed(row, fragment);
  } else {
    ptx::store_matrices(row, fragment);
  }
  __syncwarp();
  for (int i = lane; i < 4 * kWarp; i += kWarp) out[i] = shared[i];
}
template <bool kTransposed>
void store_matrices(const uint32_t* in, uint32_t* out) {
  store_matrices_kernel<kTransposed><<<1, kWarp>>>(in, out);
}

/// What one thread sees of the phases of a barrier, as it arrives and as bytes come.
__global__ void barrier_kernel(const uint32_t* in, uint32_t* out) {
  __shared__ __align__(16) uint32_t shared[8];
  __shared__ uint64_t place;
  const uint32_t barrier = ptx::shared_address(&place), to = ptx::shared_address(shared);
  int next = 0;
  const auto look = [&] {
    out[next++] = (ptx::test_wait(barrier, 0) ? 1 : 0) | (ptx::test_wait(barrier, 1) ? 2 : 0);
  };
  ptx::init_barrier(barrier, 2);
  ptx::fence_barrier_init();
  look();
  ptx::arrive(barrier);
  look();
  ptx::arrive(barrier);
  look();
  out[next++] = ptx::try_wait(barrier, 0) ? 1 : 0;
  ptx::wait(barrier, 0);
  ptx::arrive_expecting(barrier, 16);
  ptx::arrive(barrier);
  look();
  ptx::load_bulk(to, in, 16, barrier);
  ptx::wait(barrier, 1);
  look();
  for (int i = 0; i < 4; ++i) out[next++] = shared[i];
  ptx::expect_bytes(barrier, 16);
  ptx::arrive(barrier);
  ptx::arrive(barrier);
  look();
  ptx::load_bulk(to + 16, in + 4, 16, barrier);
  ptx::wait(barrier, 0);
  look();
  for (int i = 4; i < 8; ++i) out[next++] = shared[i];
  ptx::invalidate_barrier(barrier);
}
void barrier(const uint32_t* in, uint32_t* out) {
  barrier_kernel<<<1, 1>>>(in, out);
}

/// in: 32 floats. out: they as they were stored; then twice themselves, by an addition to what stands there.
__global__ void bulk_kernel(const uint32_t* in, uint32_t* out) {
  __shared__ __align__(16) uint32_t shared[kWarp];
  const int lane = threadIdx.x;
  shared[lane] = in[lane];
  out[kWarp + lane] = in[lane];
  ptx::fence_async_shared();
  ptx::fence_async_global();
  __syncwarp();
  if (lane != 0) return;
  ptx::store_bulk(out, ptx::shared_address(shared), 4 * kWarp);
  ptx::commit_stores();
  ptx::add_bulk(reinterpret_cast<float*>(out) + kWarp, ptx::shared_address(shared), 4 * kWarp);
  ptx::commit_stores();
  ptx::wait_for_store_reads<1>();
  ptx::wait_for_stores<0>();
}
void bulk(const uint32_t* in, uint32_t* out) {
  bulk_kernel<<<1, kWarp>>>(in, out);
}

/// Each of four blocks gives a value to the next one, counts it at a barrier there, and reads one from the
/// block before. in [4]; out [4, 5].
__global__ void __cluster_dims__(4, 1, 1) cluster_kernel(const uint32_t* in, uint32_t* out) {
  __shared__ float own, given;
  __shared__ uint64_t place;
  const uint32_t rank = ptx::cluster_rank(), size = ptx::cluster_size(),
                 barrier = ptx::shared_address(&place);
  own = __uint_as_float(in[rank]);
  ptx::init_barrier(barrier, 1);
  ptx::fence_barrier_init();
  ptx::arrive_at_cluster();
  ptx::wait_for_cluster();
  const uint32_t next = (rank + 1) % size, before = (rank + size - 1) % size;
  ptx::store_in_cluster(ptx::cluster_address(ptx::shared_address(&given), next), 2 * own);
  ptx::arrive_in_cluster(ptx::cluster_address(barrier, next));
  ptx::wait(barrier, 0);
  out += 5 * rank;
  out[0] = rank;
  out[1] = size;
  out[2] = __float_as_uint(ptx::load_in_cluster(ptx::cluster_address(ptx::shared_address(&own), before)));
  ptx::arrive_at_cluster();
  ptx::wait_for_cluster();
  out[3] = __float_as_uint(given);
  out[4] = ptx::cluster_address(ptx::shared_address(&own), rank) == ptx::shared_address(&own) ? 1 : 0;
}
void cluster(const uint32_t* in, uint32_t* out) {
  cluster_kernel<<<4, 1>>>(in, out);
}

/// A warpgroup gives registers to another one, and values through a barrier at which it only arrives.
__global__ void __launch_bounds__(256, 1) roles_kernel(const uint32_t* in, uint32_t* out) {
  __shared__ uint32_t shared[128];
  const int t = threadIdx.x % 128;
  ptx::wait_for_launches();
  if (threadIdx.x < 128) {
    ptx::release_registers<40>();
    shared[t] = in[t] + 1;
    ptx::arrive_threads(1, 256);
    ptx::let_launches_begin();
  } else {
    ptx::claim_registers<232>();
    ptx::sync_threads(1, 256);
    out[t] = shared[127 - t] << 1 | (ptx::elect_lane() ? 1 : 0);
  }
}
void roles(const uint32_t* in, uint32_t* out) {
  roles_kernel<<<1, 256>>>(in, out);
}

__global__ void convert_kernel(const uint32_t* in, uint32_t* out) {
  float y;
  asm("cvt.f32.bf16 %0, %1;" : "=f"(y) : "h"(static_cast<uint16_t>(in[threadIdx.x])));
  out[threadIdx.x] = __float_as_uint(y);
}
void convert(const uint32_t* in, uint32_t* out) {
  convert_kernel<<<1, kThreads>>>(in, out);
}

constexpr Launcher kInstructions[] = {
    {"store_matrices", Operands::Bits, 4 * kWarp, 4 * kWarp, {}, store_matrices<false>},
    {"store_matrices_transposed", Operands::Bits, 4 * kWarp, 4 * kWarp, {}, store_matrices<true>},
    {"mbarrier", Operands::Bits, 8, 16, {}, barrier},
    {"bulk", Operands::Units, kWarp, 2 * kWarp, {}, bulk},
    {"cluster", Operands::Units, 4, 20, {}, cluster},
    {"roles", Operands::Words, 128, 128, {}, roles},
    {"cvt.f32.bf16", Operands::Bits, kThreads, kThreads, {Agreement::Numbers}, convert},
};

}  // namespace

std::span<const Launcher> hopper_instructions() {
  return kInstructions;
}

}  // namespace prospect::emulator::golden
