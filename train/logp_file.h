#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "engine/digest.h"
#include "engine/files.h"
#include "engine/tensor.h"

/// Files that keep log-probabilities of sequences, little-endian:
///   magic [16], identity [16], element bytes u64, entries u64, checksum of all this and the table u64
///   table: per entry key [16], elements u64, checksum of its values u64
///   values, entry after entry, without gap
/// A file is written once, whole, and never changed.
namespace prospect {

/// The log-probabilities of one sequence, by the hash of its tokens.
struct LogpEntry {
  Hash128 key;
  std::span<const std::byte> values;
};

/// Puts entries in a file of their own, under a temporary name until it is whole. `identity` is the hash of
/// all that values depend on besides the tokens. Throws: Error(IoFailure).
void write_logp_file(const FileSystem& system, const std::filesystem::path& path, const Hash128& identity,
                     int64_t element_bytes, std::span<const LogpEntry> entries);

/// Such a file, mapped. Its table has been verified; values are not until they are asked for.
class LogpFile {
 public:
  /// Throws: Error(MissingInput), Error(IoFailure), Error(BadData) `file: reason` unless it is whole, of this
  /// identity and of this element type.
  LogpFile(const std::filesystem::path& path, const Hash128& identity, int64_t element_bytes,
           const FileSystem& system = {});

  size_t size() const { return entries_.size(); }
  const Hash128& key(size_t index) const { return entries_[index].key; }
  /// Whether the values are those that were written.
  bool sound(size_t index) const;
  std::span<const std::byte> values(size_t index) const { return entries_[index].values; }

 private:
  MappedFile file_;
  std::vector<LogpEntry> entries_;
  std::vector<uint64_t> checksums_;
};

}  // namespace prospect
