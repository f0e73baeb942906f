#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/files.h"
#include "engine/tensor.h"
#include "train/manifest.h"

/// Checkpoints: RUN/checkpoints/step-00000012/ holds state.json, one little-endian file NAME.bin a tensor,
/// and manifest.json with size and checksum of each. A folder comes into being under a temporary name, is
/// synced and renamed: under its final name it is always whole.
namespace prospect {

/// A part of the state, by a name of letters, digits, '.', '_' and '-'.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};

/// Writes FOLDER/step-NNNNNNNN in place of an earlier one, then removes the oldest, so that `keep` (at least
/// 1) up to this step are left. Throws: Error(IoFailure); then nothing new is left and the earlier ones stay.
void save_checkpoint(const FileSystem& system, const std::filesystem::path& folder, int64_t step,
                     std::string_view state, std::span<const NamedTensor> tensors, int64_t keep);

/// A checkpoint whose every byte has been verified.
class Checkpoint {
 public:
  /// Throws: Error(MissingInput) without it; Error(BadData) `file: reason` if a file is missing, foreign, of
  /// another size or another checksum.
  explicit Checkpoint(const std::filesystem::path& path, const FileSystem& system = {});

  int64_t step() const { return manifest_.step; }
  const std::filesystem::path& path() const { return path_; }
  std::string_view state() const;
  std::filesystem::path state_path() const;
  /// Copies the content into tensors that exist. Throws: Error(BadData) unless names, shapes and dtypes are
  /// exactly those of the checkpoint; then no tensor has been touched.
  void load(std::span<const NamedTensor> tensors) const;

 private:
  size_t find(const std::string& name) const;
  std::filesystem::path path_;
  Manifest manifest_;
  std::vector<MappedFile> files_;  ///< in the order of the manifest
};

/// The newest sound checkpoint in FOLDER, if there is one; `report` is told why newer ones were passed over.
/// Throws: Error(IoFailure) if none is sound but one could not be read: it may be, once the disk lets it.
std::optional<Checkpoint> latest_checkpoint(const FileSystem& system, const std::filesystem::path& folder,
                                            const std::function<void(const std::string&)>& report);

/// Removes what an interrupted save left in FOLDER, and puts back a checkpoint that was to be replaced.
void clean_checkpoints(const FileSystem& system, const std::filesystem::path& folder);

}  // namespace prospect
