#include "model/stored_tensor.h"

#include <array>
#include <cstring>

#include "model/float16.h"
#include "model/gguf_quant.h"

namespace prospect {

namespace {

constexpr std::array kTypes = {
    StoredTypeInfo{StoredType::F64, "F64", 1, 8},     StoredTypeInfo{StoredType::F32, "F32", 1, 4},
    StoredTypeInfo{StoredType::F16, "F16", 1, 2},     StoredTypeInfo{StoredType::BF16, "BF16", 1, 2},
    StoredTypeInfo{StoredType::Q8_0, "Q8_0", 32, 34}, StoredTypeInfo{StoredType::Q4_0, "Q4_0", 32, 18},
    StoredTypeInfo{StoredType::Q4_1, "Q4_1", 32, 20},
};

/// Files need not be aligned in memory.
template <class T>
T read_at(const std::byte* bytes, size_t index) {
  T value;
  std::memcpy(&value, bytes + index * sizeof(T), sizeof(T));
  return value;
}

template <class T, class U>
T to(U value) {
  return static_cast<T>(static_cast<compute_t<T>>(value));
}

template <class T>
void decode_blocks(StoredType type, const std::byte* bytes, std::span<T> out) {
  std::array<float, kQuantBlock> values;
  const auto block_bytes = static_cast<size_t>(stored_type_info(type).block_bytes);
  for (size_t i = 0; i < out.size(); i += kQuantBlock, bytes += block_bytes) {
    dequantise_block(type, bytes, values);
    for (size_t j = 0; j < kQuantBlock; ++j) out[i + j] = to<T>(values[j]);
  }
}

}  // namespace

const StoredTypeInfo& stored_type_info(StoredType type) {
  for (const StoredTypeInfo& info : kTypes) {
    if (info.type == type) return info;
  }
  fail(ExitCode::Bug, "stored tensor: a type without a size");
}

StoredType plain_type(std::string_view name) {
  for (const StoredTypeInfo& info : kTypes) {
    if (info.name == name && info.block_elements == 1) return info.type;
  }
  fail(ExitCode::Bug, "stored tensor: {} is no plain type", name);
}

template <class T>
void decode(const StoredTensor& tensor, int64_t first, std::span<T> out) {
  const StoredTypeInfo& info = stored_type_info(tensor.type);
  CHECK(first % info.block_elements == 0 && std::ssize(out) % info.block_elements == 0,
        "decode: elements [{}, {}) do not fall on blocks", first, first + std::ssize(out));
  const std::byte* bytes = tensor.bytes.data() + first / info.block_elements * info.block_bytes;
  switch (tensor.type) {
    case StoredType::F64:
      for (size_t i = 0; i < out.size(); ++i) out[i] = to<T>(read_at<double>(bytes, i));
      break;
    case StoredType::F32:
      for (size_t i = 0; i < out.size(); ++i) out[i] = to<T>(read_at<float>(bytes, i));
      break;
    case StoredType::F16:
      for (size_t i = 0; i < out.size(); ++i) out[i] = to<T>(half_to_float(read_at<uint16_t>(bytes, i)));
      break;
    case StoredType::BF16:
      for (size_t i = 0; i < out.size(); ++i) {
        out[i] = to<T>(std::bit_cast<float>(static_cast<uint32_t>(read_at<uint16_t>(bytes, i)) << 16));
      }
      break;
    default:
      decode_blocks(tensor.type, bytes, out);
  }
}

template <class T>
void encode(std::span<const T> values, StoredType type, std::byte* out) {
  const auto write = [&](auto convert) {
    for (size_t i = 0; i < values.size(); ++i) {
      const auto stored = convert(load(values[i]));
      std::memcpy(out + i * sizeof(stored), &stored, sizeof(stored));
    }
  };
  switch (type) {
    case StoredType::F64:
      return write([](auto value) { return static_cast<double>(value); });
    case StoredType::F32:
      return write([](auto value) { return static_cast<float>(value); });
    case StoredType::F16:
      return write([](auto value) { return float_to_half(static_cast<float>(value)); });
    case StoredType::BF16:
      return write([](auto value) { return bf16(static_cast<float>(value)).bits; });
    default:
      fail(ExitCode::Bug, "encode: {} is not written", stored_type_info(type).name);
  }
}

template void decode(const StoredTensor&, int64_t, std::span<float>);
template void decode(const StoredTensor&, int64_t, std::span<bf16>);
template void decode(const StoredTensor&, int64_t, std::span<double>);
template void encode(std::span<const float>, StoredType, std::byte*);
template void encode(std::span<const bf16>, StoredType, std::byte*);
template void encode(std::span<const double>, StoredType, std::byte*);

}  // namespace prospect
