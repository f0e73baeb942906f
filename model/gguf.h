#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/files.h"
#include "model/stored_tensor.h"

namespace prospect {

/// A .gguf file (versions 2 and 3, little endian), mapped: typed key-value pairs, then tensors. Values are
/// read where they lie; nothing of the file's size is copied. Source: the format's description in ggml.
class GgufFile {
 public:
  /// Throws: Error(MissingInput), Error(BadData) `file: key or tensor: reason` for a file that breaks a rule,
  /// or has a tensor of a type that this program does not read.
  explicit GgufFile(const std::filesystem::path& path);

  const std::string& name() const { return name_; }
  bool has(const std::string& key) const { return values_.contains(key); }
  /// The value of a key; nothing where the key is absent. Integers of every width are one kind, floats too.
  /// Throws: Error(BadData) `file: key: reason` where it is of another kind.
  std::optional<int64_t> integer(const std::string& key) const;
  std::optional<double> number(const std::string& key) const;
  std::optional<bool> flag(const std::string& key) const;
  /// Any bytes, not always UTF-8; points into the file.
  std::optional<std::string_view> text(const std::string& key) const;
  std::optional<std::vector<std::string_view>> texts(const std::string& key) const;
  std::optional<std::vector<int64_t>> integers(const std::string& key) const;
  std::optional<std::vector<double>> numbers(const std::string& key) const;

  /// In the order of the file. Shapes are in our order: the file's fastest dimension comes last.
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  const StoredTensor* find(const std::string& name) const;

  /// Throws: Error(BadData) `file: key: reason`.
  [[noreturn]] void refuse(std::string_view key, std::string_view reason) const;

 private:
  class Reader;
  enum class Kind { Integer, Number, Flag, Text };
  struct Value {
    uint32_t type;  ///< of the elements, for an array
    bool is_array;
    uint64_t count;          ///< 1, or the length of the array
    std::string_view bytes;  ///< all elements
  };
  void read_values(Reader& reader, uint64_t count);
  void read_tensors(Reader& reader, uint64_t count);
  void place_tensors(Reader& reader, const std::vector<uint64_t>& offsets);
  std::optional<std::vector<int64_t>> integers(const std::string& key, bool is_array) const;
  std::optional<std::vector<std::string_view>> texts(const std::string& key, bool is_array) const;
  const Value* find_value(const std::string& key, bool is_array, Kind kind) const;

  MappedFile file_;
  std::string name_;
  std::map<std::string, Value, std::less<>> values_;
  std::vector<StoredTensor> tensors_;
  std::map<std::string, size_t> index_;
};

}  // namespace prospect
