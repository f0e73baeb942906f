#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace prospect {

/// One file of a checkpoint.
struct ManifestFile {
  std::string name;  ///< bare: letters, digits, '.', '_' and '-', not beginning with a dot
  int64_t bytes = 0;
  std::string checksum;        ///< XXH3-128 of the content, 32 hex digits
  std::string dtype;           ///< "F32", ...; empty for a file that is no tensor
  std::vector<int64_t> shape;  ///< of a tensor

  bool operator==(const ManifestFile&) const = default;
};

/// What a checkpoint consists of. As text it is JSON in one spelling only and carries its own checksum, so
/// that no changed bit goes unseen.
struct Manifest {
  int64_t step = 0;
  std::vector<ManifestFile> files;

  std::string to_text() const;
  /// Throws: Error(BadData) `source: reason` unless to_text() wrote exactly this text.
  static Manifest from_text(std::string_view text, const std::string& source);
};

std::string checksum(std::span<const std::byte> bytes);

}  // namespace prospect
