#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "engine/file_system.h"

/// Every file operation of the program goes through here, and from here through a FileSystem.
namespace prospect {

/// A file mapped for reading. Throws: Error(MissingInput) without it, Error(IoFailure).
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path, const FileSystem& system = {});
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

inline constexpr int64_t kMostTextBytes = 64 << 20;
/// A whole small file. Throws: Error(MissingInput), Error(BadData) if it is larger than `limit_bytes`.
std::string read_text(const std::filesystem::path& path, int64_t limit_bytes = kMostTextBytes,
                      const FileSystem& system = {});

/// Writes to a temporary name beside `path`; commit() syncs and renames. Without it nothing is left.
/// Throws: Error(IoFailure) naming the file and the reason.
class AtomicFile {
 public:
  AtomicFile(const FileSystem& system, std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  void commit();

 private:
  const FileSystem system_;
  const std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// AtomicFile in one call.
void write_atomically(const FileSystem& system, const std::filesystem::path& path, std::string_view text);

/// A file that grows at its end, made where there is none: the one kind of file that is written in place. A
/// crash can cut its last text short; a failure cannot. Throws: Error(IoFailure) naming the file.
class AppendedFile {
 public:
  AppendedFile(const FileSystem& system, std::filesystem::path path);
  ~AppendedFile();
  AppendedFile(const AppendedFile&) = delete;
  AppendedFile& operator=(const AppendedFile&) = delete;
  /// All of it or, if that fails, nothing.
  void append(std::string_view text);
  /// What was appended survives a power cut.
  void sync();

 private:
  const FileSystem system_;
  const std::filesystem::path path_;
  int descriptor_ = -1;
};

/// Fails if both names are one file: writing `output` would destroy `input`. Throws: Error(BadConfig).
void require_another_file(const std::filesystem::path& output, const std::filesystem::path& input);

/// Throws: Error(IoFailure).
void rename_path(const FileSystem& system, const std::filesystem::path& from,
                 const std::filesystem::path& to);
/// A file, or a folder and all that is in it, links not followed; nothing if there is none. Throws:
/// Error(IoFailure).
void remove_path(const FileSystem& system, const std::filesystem::path& path);
/// The folder and those above it, as far as they do not exist. Throws: Error(IoFailure).
void make_folders(const FileSystem& system, const std::filesystem::path& folder);
/// Makes renames and new names inside a folder survive a power cut. Throws: Error(IoFailure).
void sync_folder(const FileSystem& system, const std::filesystem::path& folder);
/// The folder that holds `path`.
std::filesystem::path folder_of(const std::filesystem::path& path);

/// Fails unless `folder` exists or can be made, and a file can be written in it. Leaves nothing new but the
/// folder.
void require_writable_folder(const FileSystem& system, const std::filesystem::path& folder);

}  // namespace prospect
