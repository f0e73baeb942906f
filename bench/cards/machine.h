#pragma once

/// What two devices can do, as their maker documents it, but for one rate that others measured. Nothing here
/// is measured by us.
namespace prospect::bench {

/// Rates of one multiprocessor are results a clock: 32 make one warp instruction.
struct Machine {
  const char* name;
  const char* architecture;  ///< as ptxas names it
  int multiprocessors;
  double clock_hz;  ///< at which the products of the datasheet's tensor-core rate are counted
  double tensor_flops, fp32, integer, special, fp64;
  double warp_products;  ///< the part of tensor_flops that products of single warps (mma.sync) can reach
  double memory_bytes_per_second;
  double cache_bytes;           ///< of the second-level cache, a clock, all multiprocessors together
  int shared_bytes;             ///< of a multiprocessor; a block takes 1 KiB more than it asks for
  int shared_bytes_of_a_block;  ///< at most
};

inline constexpr double kWavefrontBytes = 128;  ///< of the first-level cache and shared memory, a clock
inline constexpr double kIssues = 4;            ///< warp instructions that a multiprocessor begins a clock
inline constexpr int kMostThreads = 2048, kMostBlocks = 32, kRegisters = 65536;  ///< of a multiprocessor

// Sources: datasheets "NVIDIA H200 Tensor Core GPU" (989 TFLOP/s bf16, 4.8 TB/s) and "NVIDIA A100 80GB SXM"
// (312 TFLOP/s, 2039 GB/s); CUDA C++ Programming Guide, "Arithmetic Instructions" and "Compute Capabilities";
// white paper "NVIDIA A100 Tensor Core GPU Architecture" for the second-level cache: 5120 bytes a clock,
// which stand for the H200 too, for which none are published. What mma.sync reaches beside wgmma on Hopper is
// not documented: 65 % of the peak for the shape that our kernels use, m16n8k16 (62.9 % over all shapes and
// types), as Luo et al. measured on an H800, "Dissecting the NVIDIA Hopper Architecture through
// Microbenchmarking", arXiv 2501.12084, section 6.2.
inline constexpr Machine kMachines[] = {
    {.name = "H200",
     .architecture = "sm_90a",
     .multiprocessors = 132,
     .clock_hz = 1.83e9,
     .tensor_flops = 4096,
     .fp32 = 128,
     .integer = 64,
     .special = 16,
     .fp64 = 64,
     .warp_products = 0.65,
     .memory_bytes_per_second = 4.8e12,
     .cache_bytes = 5120,
     .shared_bytes = 228 << 10,
     .shared_bytes_of_a_block = 227 << 10},
    {.name = "A100",
     .architecture = "sm_80",
     .multiprocessors = 108,
     .clock_hz = 1.41e9,
     .tensor_flops = 2048,
     .fp32 = 64,
     .integer = 64,
     .special = 16,
     .fp64 = 32,
     .warp_products = 1,
     .memory_bytes_per_second = 2.039e12,
     .cache_bytes = 5120,
     .shared_bytes = 164 << 10,
     .shared_bytes_of_a_block = 163 << 10},
};

}  // namespace prospect::bench
