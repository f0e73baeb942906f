#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace prospect::emulator {

enum class Element : uint8_t {
  Bytes1,
  Bytes2,
  Bytes4,
  Bytes8,
  Float32,
  Float64,
  Bfloat16,
  Unsigned32,
  Unsigned64
};
constexpr uint32_t bytes_of(Element element) {
  constexpr std::array<uint8_t, 9> kBytes = {1, 2, 4, 8, 4, 8, 2, 4, 8};
  return kBytes[static_cast<size_t>(element)];
}

/// What the 128 bytes of a CUtensorMap hold here: a tensor of up to five dimensions, the innermost first, and
/// the box of it that a copy moves.
struct TensorMap {
  static constexpr uint64_t kMagic = 0x70616d726f736e74;
  uint64_t magic = kMagic;
  uint64_t base = 0;
  std::array<uint64_t, 5> size{};
  std::array<uint64_t, 5> stride{};  ///< in bytes; of the innermost dimension the element's
  std::array<uint16_t, 5> box{};
  uint8_t rank = 0;
  uint8_t swizzle = 16;  ///< bytes of a row that are permuted: 16 (none), 32, 64, 128
  Element element = Element::Bytes1;

  uint32_t box_bytes() const {
    uint32_t bytes = bytes_of(element);
    for (int d = 0; d < rank; ++d) bytes *= box[static_cast<size_t>(d)];
    return bytes;
  }
};
static_assert(sizeof(TensorMap) <= 128);

/// 16 bytes of a box.
struct TensorPiece {
  uint32_t offset;      ///< in the box, as it lies in shared memory before the swizzle
  uint32_t begin, end;  ///< the bytes of it that are inside of the tensor
  uint64_t address;     ///< of byte `begin`, when begin < end
};

/// Calls visit(piece) for the box whose first element has these coordinates. Requires: rows of whole pieces.
template <class Visit>
void each_piece(const TensorMap& map, const std::array<int32_t, 5>& at, const Visit& visit) {
  constexpr uint32_t kPiece = 16;
  const uint32_t row_bytes = map.box[0] * bytes_of(map.element);
  const int64_t first = int64_t{at[0]} * bytes_of(map.element);
  const auto width = static_cast<int64_t>(map.size[0] * bytes_of(map.element));
  const uint32_t rows = map.box_bytes() / row_bytes;
  for (uint32_t row = 0; row < rows; ++row) {
    bool inside = true;
    uint64_t line = map.base;
    uint32_t rest = row;
    for (size_t d = 1; d < map.rank; ++d) {
      const int64_t place = int64_t{at[d]} + rest % map.box[d];
      rest /= map.box[d];
      inside = inside && place >= 0 && place < static_cast<int64_t>(map.size[d]);
      line += static_cast<uint64_t>(place) * map.stride[d];
    }
    for (uint32_t offset = 0; offset < row_bytes; offset += kPiece) {
      const int64_t begin = first + offset;
      TensorPiece piece{row * row_bytes + offset, 0, 0, 0};
      if (inside) {
        piece.begin = static_cast<uint32_t>(std::clamp<int64_t>(-begin, 0, kPiece));
        piece.end = static_cast<uint32_t>(std::clamp<int64_t>(width - begin, 0, kPiece));
        piece.end = std::max(piece.begin, piece.end);
        piece.address = line + static_cast<uint64_t>(begin + piece.begin);
      }
      visit(piece);
    }
  }
}

}  // namespace prospect::emulator
