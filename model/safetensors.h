#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/files.h"
#include "model/stored_tensor.h"

namespace prospect {

/// A .safetensors file, mapped: 8 bytes of header length, a JSON header {name: {dtype, shape, data_offsets}},
/// then the data, which the tensors tile without gap or overlap. Tensors point into the mapping.
/// Source: the format's description in github.com/huggingface/safetensors.
class SafetensorsFile {
 public:
  /// Throws: Error(MissingInput), Error(BadData) `file: tensor: reason` for a file that breaks any rule.
  explicit SafetensorsFile(const std::filesystem::path& path);

  /// In the order of the data.
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  /// nullptr where there is none of that name.
  const StoredTensor* find(const std::string& name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  MappedFile file_;
  std::vector<StoredTensor> tensors_;
  std::map<std::string, size_t> index_;
  std::map<std::string, std::string> metadata_;
};

/// model.safetensors of a folder, or else the shards that model.safetensors.index.json names.
/// Throws: Error(MissingInput) with neither, Error(BadData) where index and shards disagree or the index
/// names anything but a file in the folder, or a link to one in the store of a Hugging Face cache.
std::vector<SafetensorsFile> open_safetensors_folder(const std::filesystem::path& folder);

/// A tensor to write. It is asked for its bytes piece by piece, so that no second copy of it is needed.
struct TensorSource {
  std::string name;
  StoredType type;
  Shape shape;
  /// Writes the bytes of rows [begin, end) to `out`; a row is one index of the first dimension. Called by
  /// several threads at once; must not throw.
  std::function<void(int64_t begin, int64_t end, std::byte* out)> rows;
};

/// Writes one file. Throws: Error(IoFailure).
void write_safetensors(const FileSystem& system, const std::filesystem::path& path,
                       std::vector<TensorSource> tensors, const std::map<std::string, std::string>& metadata);

inline constexpr int64_t kShardBytes = 5'000'000'000;
/// Writes model.safetensors, or shards of at most `shard_bytes` (or one tensor) and their index.
/// Throws: Error(IoFailure), also where the folder holds the other kind already: it would be read instead.
void write_safetensors_folder(const FileSystem& system, const std::filesystem::path& folder,
                              std::vector<TensorSource> tensors, int64_t shard_bytes = kShardBytes);

}  // namespace prospect
