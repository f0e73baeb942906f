#pragma once

#include <cstddef>
#include <span>

#include "model/stored_tensor.h"

namespace prospect {

inline constexpr size_t kQuantBlock = 32;

/// The 32 values of one block: bit for bit those of ggml. The products are exact in float (11 bits times at
/// most 8), so only the sum of Q4_1 rounds, fused or not.
///   Q8_0: f16 d, 32 int8 q: d q. Q4_0: f16 d, 16 bytes: d (q - 8). Q4_1: f16 d, f16 m, 16 bytes: d q + m.
/// Low nibbles are elements 0-15, high ones 16-31. Source: ggml, ggml-quants.c (dequantize_row_*).
/// Requires: type is one of these; `block` has its bytes.
void dequantise_block(StoredType type, const std::byte* block, std::span<float, kQuantBlock> out);

}  // namespace prospect
