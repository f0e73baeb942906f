#include "model/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "model/json_text.h"
#include "model/own_file.h"

namespace prospect {

namespace {

using Json = nlohmann::json;

constexpr uint64_t kMostHeaderBytes = 100'000'000;

struct NamedBits {
  std::string_view name;
  uint64_t bits;
};
/// Every dtype of the format, so that the offsets of any file can be checked.
constexpr std::array kDtypes = {
    NamedBits{"F64", 64},    NamedBits{"F32", 32},        NamedBits{"F16", 16},
    NamedBits{"BF16", 16},   NamedBits{"BOOL", 8},        NamedBits{"U8", 8},
    NamedBits{"I8", 8},      NamedBits{"U16", 16},        NamedBits{"I16", 16},
    NamedBits{"U32", 32},    NamedBits{"I32", 32},        NamedBits{"U64", 64},
    NamedBits{"I64", 64},    NamedBits{"C64", 64},        NamedBits{"F8_E4M3", 8},
    NamedBits{"F8_E5M2", 8}, NamedBits{"F8_E4M3FNUZ", 8}, NamedBits{"F8_E5M2FNUZ", 8},
    NamedBits{"F8_E8M0", 8}, NamedBits{"F4", 4},          NamedBits{"F6_E2M3", 6},
    NamedBits{"F6_E3M2", 6},
};

template <class... Args>
[[noreturn]] void refuse(const std::string& file, fmt::format_string<Args...> format, Args&&... args) {
  fail(ExitCode::BadData, "{}: {}", file, fmt::format(format, std::forward<Args>(args)...));
}

uint64_t read_unsigned(const Json& value, const std::string& file, const std::string& name, const char* key) {
  if (!value.is_number_unsigned()) refuse(file, "{}: {} must hold integers that are not negative", name, key);
  return value.get<uint64_t>();
}

const Json& member(const Json& object, const char* key, const std::string& file, const std::string& name) {
  if (!object.is_object() || !object.contains(key)) refuse(file, "{}: no {}", name, key);
  return object[key];
}

/// One entry of the header; `data` is what follows it.
StoredTensor read_tensor(const std::string& name, const Json& entry, const std::string& file,
                         std::span<const std::byte> data) {
  StoredTensor tensor;
  tensor.name = name;
  tensor.file = file;
  const Json& dtype = member(entry, "dtype", file, name);
  const Json& shape = member(entry, "shape", file, name);
  const Json& offsets = member(entry, "data_offsets", file, name);
  if (entry.size() != 3) refuse(file, "{}: must have dtype, shape and data_offsets only", name);
  const auto known = std::find_if(kDtypes.begin(), kDtypes.end(),
                                  [&](const NamedBits& d) { return dtype.is_string() && dtype == d.name; });
  if (known == kDtypes.end()) refuse(file, "{}: unknown dtype {}", name, dtype.dump().substr(0, 40));
  tensor.type_name = known->name;
  if (!shape.is_array()) refuse(file, "{}: shape must be a list", name);
  uint64_t bits = known->bits;
  for (const Json& size : shape) {
    const uint64_t value = read_unsigned(size, file, name, "shape");
    if (value > INT64_MAX || __builtin_mul_overflow(bits, value, &bits)) {
      refuse(file, "{}: the size of its shape overflows", name);
    }
    tensor.shape.push_back(static_cast<int64_t>(value));
  }
  if (!offsets.is_array() || offsets.size() != 2) refuse(file, "{}: data_offsets must be two integers", name);
  const uint64_t begin = read_unsigned(offsets[0], file, name, "data_offsets");
  const uint64_t end = read_unsigned(offsets[1], file, name, "data_offsets");
  if (begin > end || end > data.size()) {
    refuse(file, "{}: data_offsets [{}, {}) lie outside the {} bytes of data", name, begin, end, data.size());
  }
  if (bits % 8 != 0 || bits / 8 != end - begin) {
    refuse(file, "{}: {} {} needs {} bits, data_offsets hold {} bytes", name, tensor.type_name,
           to_string(tensor.shape), bits, end - begin);
  }
  for (const std::string_view plain : {"F64", "F32", "F16", "BF16"}) {
    if (tensor.type_name == plain) tensor.type = plain_type(plain);
  }
  tensor.bytes = data.subspan(begin, end - begin);
  return tensor;
}

/// Sorts by offset and fails unless the tensors tile the data.
void require_tiling(std::vector<StoredTensor>& tensors, std::span<const std::byte> data,
                    const std::string& file) {
  std::sort(tensors.begin(), tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return std::pair(a.bytes.data(), a.bytes.size()) < std::pair(b.bytes.data(), b.bytes.size());
  });
  const std::byte* next = data.data();
  for (const StoredTensor& tensor : tensors) {
    if (tensor.bytes.data() != next) {
      refuse(file, "{}: begins at byte {} of the data, where the tensor before it ends at {}", tensor.name,
             tensor.bytes.data() - data.data(), next - data.data());
    }
    next += tensor.bytes.size();
  }
  if (next != data.data() + data.size()) {
    refuse(file, "the tensors end at byte {} of the data, the file has {}", next - data.data(), data.size());
  }
}

std::map<std::string, std::string> read_metadata(const Json& object, const std::string& file) {
  std::map<std::string, std::string> metadata;
  if (!object.is_object()) refuse(file, "__metadata__ must map strings to strings");
  for (const auto& [key, value] : object.items()) {
    if (!value.is_string()) refuse(file, "__metadata__ must map strings to strings");
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  const std::string file = path.string();
  const std::span<const std::byte> bytes = file_.bytes();
  uint64_t length = 0;
  if (bytes.size() < sizeof(length))
    refuse(file, "{} bytes are too few for a safetensors file", bytes.size());
  std::memcpy(&length, bytes.data(), sizeof(length));
  if (length > kMostHeaderBytes || length > bytes.size() - sizeof(length)) {
    refuse(file, "a header of {} bytes does not fit the file of {}", length, bytes.size());
  }
  const std::string_view header = file_.text().substr(sizeof(length), length);
  if (!header.starts_with('{')) refuse(file, "the header must begin with {{");
  const Json json = parse_json<Json>(header, file, 4);
  const std::span<const std::byte> data = bytes.subspan(sizeof(length) + length);
  for (const auto& [name, entry] : json.items()) {
    if (name == "__metadata__") {
      metadata_ = read_metadata(entry, file);
    } else {
      tensors_.push_back(read_tensor(name, entry, file, data));
    }
  }
  require_tiling(tensors_, data, file);
  for (size_t i = 0; i < tensors_.size(); ++i) index_[tensors_[i].name] = i;
}

const StoredTensor* SafetensorsFile::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

std::vector<SafetensorsFile> open_safetensors_folder(const std::filesystem::path& folder) {
  std::vector<SafetensorsFile> files;
  if (std::filesystem::exists(folder / "model.safetensors")) {
    files.emplace_back(folder / "model.safetensors");
    return files;
  }
  const std::filesystem::path index_path = folder / "model.safetensors.index.json";
  if (!std::filesystem::exists(index_path)) {
    fail(ExitCode::MissingInput, "{}: neither model.safetensors nor model.safetensors.index.json",
         folder.string());
  }
  const std::string source = index_path.string();
  const Json index = parse_json<Json>(read_text(index_path), source, 4);
  const Json& map = member(index, "weight_map", source, "index");
  if (!map.is_object() || map.empty()) refuse(source, "weight_map must map tensors to files");
  std::map<std::string, std::set<std::string>> shards;
  for (const auto& [name, file] : map.items()) {
    if (!file.is_string()) refuse(source, "{}: its file must be a string", name);
    const auto shard = file.get<std::string>();
    if (shard.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos ||
        !shard.ends_with(".safetensors")) {
      refuse(source, "{}: {} is not the name of a .safetensors file in this folder", name, file.dump());
    }
    shards[shard].insert(name);
  }
  for (const auto& [shard, names] : shards) {
    if (!is_own_file(folder, shard)) refuse(source, "{} is a link that leads out of this folder", shard);
    const SafetensorsFile& file = files.emplace_back(folder / shard);
    for (const std::string& name : names) {
      if (file.find(name) == nullptr) refuse(source, "{}: is not in {}", name, shard);
    }
    for (const StoredTensor& tensor : file.tensors()) {
      if (!names.contains(tensor.name)) refuse(tensor.file, "{}: not in the index", tensor.name);
    }
  }
  return files;
}

}  // namespace prospect
