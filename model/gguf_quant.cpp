#include "model/gguf_quant.h"

#include <cstring>

#include "model/float16.h"

namespace prospect {

namespace {

float half_at(const std::byte* bytes) {
  uint16_t half;
  std::memcpy(&half, bytes, sizeof(half));
  return half_to_float(half);
}

}  // namespace

void dequantise_block(StoredType type, const std::byte* block, std::span<float, kQuantBlock> out) {
  const float d = half_at(block);
  if (type == StoredType::Q8_0) {
    const std::byte* q = block + 2;
    for (size_t i = 0; i < kQuantBlock; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(q[i]));
    return;
  }
  const bool with_minimum = type == StoredType::Q4_1;
  CHECK(with_minimum || type == StoredType::Q4_0, "dequantise: not a quantised type");
  const float m = with_minimum ? half_at(block + 2) : 0;
  const std::byte* q = block + (with_minimum ? 4 : 2);
  for (size_t i = 0; i < kQuantBlock / 2; ++i) {
    const int low = std::to_integer<int>(q[i] & std::byte{15}), high = std::to_integer<int>(q[i] >> 4);
    if (with_minimum) {
      out[i] = static_cast<float>(low) * d + m;
      out[i + kQuantBlock / 2] = static_cast<float>(high) * d + m;
    } else {
      out[i] = static_cast<float>(low - 8) * d;
      out[i + kQuantBlock / 2] = static_cast<float>(high - 8) * d;
    }
  }
}

}  // namespace prospect
