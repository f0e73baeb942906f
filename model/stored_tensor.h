#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "engine/tensor.h"

namespace prospect {

/// How weights lie in files: plain numbers, and the block formats of ggml, whose scale belongs to 32
/// neighbours of a row. Other: a type that is known by name and size only.
enum class StoredType { F64, F32, F16, BF16, Q8_0, Q4_0, Q4_1, Other };

struct StoredTypeInfo {
  StoredType type;
  std::string_view name;
  int64_t block_elements, block_bytes;
};
/// Requires: type is not Other.
const StoredTypeInfo& stored_type_info(StoredType type);
/// F32, F16, BF16 or F64 by name. Throws: Error(Bug) for another.
StoredType plain_type(std::string_view name);

/// A tensor inside a mapped file; `bytes` is exactly its data.
struct StoredTensor {
  std::string name;
  std::string file;  ///< for errors
  StoredType type = StoredType::Other;
  std::string type_name;
  Shape shape;
  std::span<const std::byte> bytes;
  /// Where not 0: the rows of each of that many heads lie as interleaved pairs, row 2 i + j of the file being
  /// row j * half + i of ours.
  int64_t interleaved_heads = 0;
};

/// Elements [first, first + out.size()) of a tensor, converted. T: float, bf16, double. Both ends must fall
/// on block borders. Plain types are exact wherever T holds them, and rounded to nearest elsewhere.
template <class T>
void decode(const StoredTensor& tensor, int64_t first, std::span<T> out);

/// Values as bytes of a plain type, rounded to nearest. Requires: out has room for them.
template <class T>
void encode(std::span<const T> values, StoredType type, std::byte* out);

}  // namespace prospect
