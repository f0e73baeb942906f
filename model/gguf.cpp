#include "model/gguf.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/common/check.h"

namespace prospect {

namespace {

enum ValueType : uint32_t {
  U8,
  I8,
  U16,
  I16,
  U32,
  I32,
  F32,
  Bool,
  String,
  Array,
  U64,
  I64,
  F64,
  kValueTypes
};
constexpr std::array<uint64_t, kValueTypes> kValueBytes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

constexpr uint64_t kMostLength = uint64_t{1} << 30, kMostNameBytes = 64, kMostDimensions = 4;
/// The least that a key with its value, or a tensor's description, takes: it bounds their number.
constexpr uint64_t kLeastValueBytes = 8 + 1 + 4 + 1, kLeastTensorBytes = 8 + 1 + 4 + 4 + 8;

struct GgmlType {
  uint32_t id;
  std::string_view name;
  StoredType type;
};
/// Types by their number in the file; those that are known but not read are refused by name.
constexpr std::array kGgmlTypes = {
    GgmlType{0, "F32", StoredType::F32},     GgmlType{1, "F16", StoredType::F16},
    GgmlType{2, "Q4_0", StoredType::Q4_0},   GgmlType{3, "Q4_1", StoredType::Q4_1},
    GgmlType{6, "Q5_0", StoredType::Other},  GgmlType{7, "Q5_1", StoredType::Other},
    GgmlType{8, "Q8_0", StoredType::Q8_0},   GgmlType{9, "Q8_1", StoredType::Other},
    GgmlType{10, "Q2_K", StoredType::Other}, GgmlType{11, "Q3_K", StoredType::Other},
    GgmlType{12, "Q4_K", StoredType::Other}, GgmlType{13, "Q5_K", StoredType::Other},
    GgmlType{14, "Q6_K", StoredType::Other}, GgmlType{15, "Q8_K", StoredType::Other},
    GgmlType{28, "F64", StoredType::F64},    GgmlType{30, "BF16", StoredType::BF16},
};

template <class T>
T number_at(std::string_view bytes, uint64_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

bool is_integer(uint32_t type) {
  return type <= I32 || type == U64 || type == I64;
}

/// Element `index` of integers. Requires: is_integer(type). Nothing where it does not fit.
std::optional<int64_t> integer_at(uint32_t type, std::string_view bytes, uint64_t index) {
  switch (type) {
    case U8:
      return number_at<uint8_t>(bytes, index);
    case I8:
      return number_at<int8_t>(bytes, index);
    case U16:
      return number_at<uint16_t>(bytes, index);
    case I16:
      return number_at<int16_t>(bytes, index);
    case U32:
      return number_at<uint32_t>(bytes, index);
    case I32:
      return number_at<int32_t>(bytes, index);
    default: {
      const auto value = number_at<int64_t>(bytes, index);
      if (type == U64 && value < 0) return std::nullopt;
      return value;
    }
  }
}

double number_of(uint32_t type, std::string_view bytes, uint64_t index) {
  return type == F64 ? number_at<double>(bytes, index) : static_cast<double>(number_at<float>(bytes, index));
}

}  // namespace

/// Takes bytes from the front of the file and fails at its end.
class GgufFile::Reader {
 public:
  explicit Reader(const GgufFile& file) : file_(file), all_(file.file_.text()), rest_(all_) {}

  std::string_view take(uint64_t count, std::string_view what) {
    if (count > rest_.size()) file_.refuse(what, "the file ends inside it");
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  template <class T>
  T read(std::string_view what) {
    return number_at<T>(take(sizeof(T), what), 0);
  }
  /// A length and that many bytes; points into the file.
  std::string_view text(std::string_view what) {
    const auto length = read<uint64_t>(what);
    if (length > kMostLength) file_.refuse(what, "a text is longer than 2^30 bytes");
    return take(length, what);
  }
  uint64_t position() const { return all_.size() - rest_.size(); }
  uint64_t left() const { return rest_.size(); }
  std::string_view from(uint64_t position) const {
    return all_.substr(position, this->position() - position);
  }

 private:
  const GgufFile& file_;
  std::string_view all_, rest_;
};

GgufFile::GgufFile(const std::filesystem::path& path) : file_(path), name_(path.string()) {
  Reader reader(*this);
  if (reader.take(4, "header") != "GGUF") refuse("header", "not a GGUF file");
  const auto version = reader.read<uint32_t>("header");
  if ((version & 0xffff) == 0) refuse("header", "big-endian files are not supported");
  if (version != 2 && version != 3) refuse("header", fmt::format("version {} is not supported", version));
  const auto tensors = reader.read<uint64_t>("header"), values = reader.read<uint64_t>("header");
  if (values > reader.left() / kLeastValueBytes || tensors > reader.left() / kLeastTensorBytes) {
    refuse("header", fmt::format("{} keys and {} tensors do not fit the file", values, tensors));
  }
  read_values(reader, values);
  read_tensors(reader, tensors);
}

void GgufFile::refuse(std::string_view key, std::string_view reason) const {
  std::string shown(key.substr(0, 100));
  for (char& c : shown) c = c >= ' ' && c <= '~' ? c : '?';
  fail(ExitCode::BadData, "{}: {}: {}", name_, shown, reason);
}

void GgufFile::read_values(Reader& reader, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    const std::string_view key = reader.text("key");
    if (key.empty()) refuse("key", "is empty");
    Value value{.type = reader.read<uint32_t>(key), .is_array = false, .count = 1, .bytes = {}};
    if (value.type == Array) {
      value.is_array = true;
      value.type = reader.read<uint32_t>(key);
      value.count = reader.read<uint64_t>(key);
      if (value.type == Array) refuse(key, "lists of lists are not supported");
      if (value.count > kMostLength) refuse(key, "has more than 2^30 elements");
    }
    if (value.type >= kValueTypes) refuse(key, fmt::format("unknown type {}", value.type));
    const uint64_t begin = reader.position();
    if (value.type == String) {
      for (uint64_t j = 0; j < value.count; ++j) reader.text(key);
    } else {
      reader.take(value.count * kValueBytes[value.type], key);
    }
    value.bytes = reader.from(begin);
    if (value.type == Bool &&
        value.bytes.find_first_not_of(std::string_view("\0\1", 2)) != value.bytes.npos) {
      refuse(key, "a bool must be 0 or 1");
    }
    if (!values_.emplace(key, value).second) refuse(key, "stands twice");
  }
}

void GgufFile::read_tensors(Reader& reader, uint64_t count) {
  std::vector<uint64_t> offsets;
  for (uint64_t i = 0; i < count; ++i) {
    StoredTensor tensor;
    tensor.name = reader.text("tensor");
    tensor.file = name_;
    if (tensor.name.empty() || tensor.name.size() >= kMostNameBytes) {
      refuse("tensor", "a name must have 1 to 63 bytes");
    }
    const auto dimensions = reader.read<uint32_t>(tensor.name);
    if (dimensions > kMostDimensions) refuse(tensor.name, fmt::format("has {} dimensions", dimensions));
    uint64_t elements = 1;
    for (uint32_t d = 0; d < dimensions; ++d) {
      const auto size = reader.read<uint64_t>(tensor.name);
      if (size == 0) refuse(tensor.name, "a size of its shape is 0");
      if (size > INT64_MAX || __builtin_mul_overflow(elements, size, &elements) || elements > INT64_MAX) {
        refuse(tensor.name, "the size of its shape overflows");
      }
      tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(size));
    }
    const auto id = reader.read<uint32_t>(tensor.name);
    for (const GgmlType& type : kGgmlTypes) {
      if (type.id != id) continue;
      tensor.type = type.type;
      tensor.type_name = type.name;
    }
    if (tensor.type == StoredType::Other) {
      refuse(tensor.name, fmt::format("tensors of type {} are not supported",
                                      tensor.type_name.empty() ? std::to_string(id) : tensor.type_name));
    }
    offsets.push_back(reader.read<uint64_t>(tensor.name));
    if (!index_.emplace(tensor.name, i).second) refuse(tensor.name, "stands twice");
    tensors_.push_back(std::move(tensor));
  }
  place_tensors(reader, offsets);
}

/// Every tensor begins at the padded end of the one before it.
void GgufFile::place_tensors(Reader& reader, const std::vector<uint64_t>& offsets) {
  const int64_t alignment = integer("general.alignment").value_or(32);
  if (alignment <= 0 || alignment > (1 << 20) || !std::has_single_bit(static_cast<uint64_t>(alignment))) {
    refuse("general.alignment", fmt::format("{} is not a power of two up to 2^20", alignment));
  }
  const auto padding = [&](uint64_t size) { return (0 - size) & (static_cast<uint64_t>(alignment) - 1); };
  if (!tensors_.empty()) reader.take(padding(reader.position()), "padding before the tensors");
  uint64_t offset = 0;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    StoredTensor& tensor = tensors_[i];
    const StoredTypeInfo& type = stored_type_info(tensor.type);
    const int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
    if (row % type.block_elements != 0) {
      refuse(tensor.name,
             fmt::format("rows of {} do not divide into blocks of {}", row, type.block_elements));
    }
    if (offsets[i] != offset) {
      refuse(tensor.name, fmt::format("lies at byte {} of the data, must lie at {}", offsets[i], offset));
    }
    const auto blocks = static_cast<uint64_t>(element_count(tensor.shape) / type.block_elements);
    if (blocks > reader.left() / static_cast<uint64_t>(type.block_bytes)) {
      refuse(tensor.name, "the file ends inside it");
    }
    const uint64_t bytes = blocks * static_cast<uint64_t>(type.block_bytes);
    tensor.bytes = std::as_bytes(std::span(reader.take(bytes, tensor.name)));
    // The last tensor's padding may be left out.
    const bool last = i + 1 == tensors_.size();
    reader.take(last ? std::min(reader.left(), padding(bytes)) : padding(bytes), tensor.name);
    offset += bytes + padding(bytes);
  }
  if (reader.left() > 0) refuse("end", fmt::format("{} bytes after the last tensor", reader.left()));
}

const GgufFile::Value* GgufFile::find_value(const std::string& key, bool is_array, Kind kind) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return nullptr;
  const Value& value = found->second;
  const uint32_t type = value.type;
  const bool right = kind == Kind::Integer  ? is_integer(type)
                     : kind == Kind::Number ? type == F32 || type == F64
                     : kind == Kind::Flag   ? type == Bool
                                            : type == String;
  if (!right || value.is_array != is_array) {
    constexpr std::array kNames = {"integer", "float", "bool", "string"};
    refuse(key, fmt::format("must be {}{}", is_array ? "a list of type " : "of type ",
                            kNames[static_cast<size_t>(kind)]));
  }
  return &value;
}

std::optional<std::vector<int64_t>> GgufFile::integers(const std::string& key, bool is_array) const {
  const Value* value = find_value(key, is_array, Kind::Integer);
  if (value == nullptr) return std::nullopt;
  std::vector<int64_t> result;
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto element = integer_at(value->type, value->bytes, i);
    if (!element) refuse(key, "an integer is beyond 2^63");
    result.push_back(*element);
  }
  return result;
}

std::optional<int64_t> GgufFile::integer(const std::string& key) const {
  const auto values = integers(key, false);
  return values ? std::optional(values->front()) : std::nullopt;
}

std::optional<std::vector<int64_t>> GgufFile::integers(const std::string& key) const {
  return integers(key, true);
}

std::optional<double> GgufFile::number(const std::string& key) const {
  const Value* value = find_value(key, false, Kind::Number);
  return value == nullptr ? std::nullopt : std::optional(number_of(value->type, value->bytes, 0));
}

std::optional<std::vector<double>> GgufFile::numbers(const std::string& key) const {
  const Value* value = find_value(key, true, Kind::Number);
  if (value == nullptr) return std::nullopt;
  std::vector<double> result;
  for (uint64_t i = 0; i < value->count; ++i) result.push_back(number_of(value->type, value->bytes, i));
  return result;
}

std::optional<bool> GgufFile::flag(const std::string& key) const {
  const Value* value = find_value(key, false, Kind::Flag);
  return value == nullptr ? std::nullopt : std::optional(value->bytes[0] != 0);
}

std::optional<std::vector<std::string_view>> GgufFile::texts(const std::string& key, bool is_array) const {
  const Value* value = find_value(key, is_array, Kind::Text);
  if (value == nullptr) return std::nullopt;
  std::vector<std::string_view> result;
  std::string_view rest = value->bytes;
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto length = number_at<uint64_t>(rest, 0);
    result.push_back(rest.substr(sizeof(length), length));
    rest.remove_prefix(sizeof(length) + length);
  }
  return result;
}

std::optional<std::string_view> GgufFile::text(const std::string& key) const {
  const auto values = texts(key, false);
  return values ? std::optional(values->front()) : std::nullopt;
}

std::optional<std::vector<std::string_view>> GgufFile::texts(const std::string& key) const {
  return texts(key, true);
}

const StoredTensor* GgufFile::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace prospect
