#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

/// Every file operation of the program goes through here.
namespace prospect {

/// A file mapped for reading. Throws: Error(MissingInput) without it, Error(IoFailure).
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// A whole small file. Throws: Error(MissingInput), Error(BadData) if it is larger than `limit_bytes`.
std::string read_text(const std::filesystem::path& path, int64_t limit_bytes = 64 << 20);

/// Writes to a temporary name beside `path`; commit() syncs and renames. Without it nothing is left.
/// Throws: Error(IoFailure) naming the file and the reason.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
};

/// AtomicFile in one call.
void write_atomically(const std::filesystem::path& path, std::string_view text);

/// Fails if both names are one file: writing `output` would destroy `input`. Throws: Error(BadConfig).
void require_another_file(const std::filesystem::path& output, const std::filesystem::path& input);

/// Makes renames and new names inside a folder survive a power cut.
void sync_folder(const std::filesystem::path& folder);

/// Fails unless `folder` exists or can be made, and a file can be written in it. Leaves nothing new but the
/// folder.
void require_writable_folder(const std::filesystem::path& folder);

}  // namespace prospect
