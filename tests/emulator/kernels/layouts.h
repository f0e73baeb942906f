#pragma once

#include <cstdint>

/// Kernels that show where single instructions put things: registers and shared memory go in and out as they
/// are. Pointers are device memory.
namespace prospect::emulator::layouts {

/// d [32 lanes, 4] = the product of the fragments a [32, 4] and b [32, 2].
void multiply_fragments(const uint32_t* a, const uint32_t* b, float* d);

/// Puts `bytes` of `image` into shared memory; lane l gives row offset rows[l]. fragments [32, 4].
void load_fragments(const void* image, int bytes, const uint32_t* rows, bool transposed, uint32_t* fragments);
/// The other way round: shared memory, `bytes` of it, zeros before.
void store_fragments(void* image, int bytes, const uint32_t* rows, bool transposed,
                     const uint32_t* fragments);

/// A box of bf16 as the engine puts it into shared memory. tensor [rows, columns]; the box begins at (row,
/// column), which may be outside; permuted: bytes of a row, 128, 64, 32, or 16 for as it is.
struct Box {
  const void* tensor;
  int rows, columns, box_rows, box_columns, row, column, permuted;
};
void load_box(const Box& box, void* image);
/// The same to both blocks of a cluster; images [2, box].
void load_box_for_cluster(const Box& box, void* images);
/// The other way round, adding to the tensor (float) when `adds`. tensor is written.
void store_box(const Box& box, const void* image, bool adds);

/// sum [128 threads, 64] = the product, 64 x 128, of `steps` steps of 16: descriptors [steps, 2] of a and b,
/// as if shared memory, which holds `bytes` of `image`, began at 0.
struct Product {
  const void* image;
  int bytes, steps;
  const uint64_t* descriptors;
  float* sum;
};
void multiply_shared(const Product& product, bool a_transposed, bool b_transposed);
/// The same with a in registers, [steps, 128, 4].
void multiply_registers(const Product& product, const uint32_t* a, bool b_transposed);

}  // namespace prospect::emulator::layouts
