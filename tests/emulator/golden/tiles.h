#pragma once

#include <cstdint>

/// Copies of boxes of tensors of float by the asynchronous engine. Dimensions from the innermost on; a box
/// may reach beyond the tensor. Pointers are device memory.
namespace prospect::emulator::golden {

inline constexpr uint32_t kTensorSize[3] = {12, 5, 3}, kBoxSize[3] = {8, 4, 2};
inline constexpr int kTensorWords = 12 * 5 * 3, kBoxWords = 8 * 4 * 2;

void load_tile_3d(const uint32_t* tensor, int x, int y, int z, uint32_t* box);
/// Two such tensors, one behind the other; w chooses.
void load_tile_4d(const uint32_t* tensor, int x, int y, int z, int w, uint32_t* box);
void store_tile_3d(const uint32_t* box, int x, int y, int z, uint32_t* tensor);

}  // namespace prospect::emulator::golden
