#include "engine/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/common/check.h"

namespace prospect {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_io(const fs::path& path, std::string_view what) {
  const int error = errno;
  fail(error == ENOENT && what == "cannot open" ? ExitCode::MissingInput : ExitCode::IoFailure, "{}: {}: {}",
       path.string(), what, std::strerror(error));
}

/// A descriptor that closes itself.
struct Descriptor {
  const FileSystem& system;
  int value;
  ~Descriptor() {
    if (value >= 0) system.close(value);
  }
};

int64_t open_for_reading(const fs::path& path, Descriptor& file) {
  file.value = file.system.open(path, O_RDONLY | O_NONBLOCK);  // a pipe that nobody writes would hang us
  if (file.value < 0) fail_io(path, "cannot open");
  struct stat status {};
  if (::fstat(file.value, &status) != 0) fail_io(path, "cannot stat");
  if (!S_ISREG(status.st_mode)) fail(ExitCode::BadData, "{}: not a regular file", path.string());
  return status.st_size;
}

/// False, with errno, if it could not write all of it.
bool write_all(const FileSystem& system, int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = system.write(descriptor, bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return true;
}

}  // namespace

MappedFile::MappedFile(const fs::path& path, const FileSystem& system) {
  Descriptor file{system, -1};
  size_ = static_cast<size_t>(open_for_reading(path, file));
  if (size_ == 0) return;
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.value, 0);
  if (data == MAP_FAILED) fail_io(path, "cannot map");
  data_ = static_cast<const std::byte*>(data);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

std::string read_text(const fs::path& path, int64_t limit_bytes, const FileSystem& system) {
  Descriptor file{system, -1};
  const int64_t size = open_for_reading(path, file);
  if (size > limit_bytes) {
    fail(ExitCode::BadData, "{}: {} bytes, more than the {} that such a file may have", path.string(), size,
         limit_bytes);
  }
  std::string text(static_cast<size_t>(size), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = system.read(file.value, std::as_writable_bytes(std::span(text).subspan(done)));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_io(path, "cannot read");
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  text.resize(done);
  return text;
}

AtomicFile::AtomicFile(const FileSystem& system, fs::path path)
    : system_(system), path_(std::move(path)), temporary_(path_) {
  temporary_ += ".partial";
  descriptor_ = system_.open(temporary_, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (descriptor_ < 0)
    fail(ExitCode::IoFailure, "{}: cannot write: {}", path_.string(), std::strerror(errno));
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  system_.close(descriptor_);
  system_.remove(temporary_);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (!write_all(system_, descriptor_, bytes)) fail_io(path_, "cannot write");
}

void AtomicFile::commit() {
  if (system_.sync(descriptor_) != 0) fail_io(path_, "cannot sync");
  const int closed = system_.close(std::exchange(descriptor_, -1));
  if (closed != 0 || system_.rename(temporary_, path_) != 0) {
    const int error = errno;
    system_.remove(temporary_);
    errno = error;
    fail_io(path_, "cannot put in place");
  }
  sync_folder(system_, folder_of(path_));
}

void write_atomically(const FileSystem& system, const fs::path& path, std::string_view text) {
  AtomicFile file(system, path);
  file.write(text);
  file.commit();
}

AppendedFile::AppendedFile(const FileSystem& system, fs::path path)
    : system_(system), path_(std::move(path)) {
  descriptor_ = system_.open(path_, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (descriptor_ < 0)
    fail(ExitCode::IoFailure, "{}: cannot write: {}", path_.string(), std::strerror(errno));
}

AppendedFile::~AppendedFile() {
  system_.close(descriptor_);
}

void AppendedFile::append(std::string_view text) {
  const off_t before = ::lseek(descriptor_, 0, SEEK_END);
  if (before >= 0 && write_all(system_, descriptor_, std::as_bytes(std::span(text)))) return;
  const int error = errno;
  // Where even this fails the text stays cut short, as after a crash.
  [[maybe_unused]] const int shortened = before < 0 ? 0 : ::ftruncate(descriptor_, before);
  errno = error;
  fail_io(path_, "cannot write");
}

void AppendedFile::sync() {
  if (system_.sync(descriptor_) != 0) fail_io(path_, "cannot sync");
}

void require_another_file(const fs::path& output, const fs::path& input) {
  std::error_code missing;
  if (!fs::equivalent(output, input, missing)) return;
  fail(ExitCode::BadConfig, "{}: is an input of this command; write to another file", output.string());
}

void rename_path(const FileSystem& system, const fs::path& from, const fs::path& to) {
  if (system.rename(from, to) != 0) {
    fail(ExitCode::IoFailure, "{}: cannot rename it to {}: {}", from.string(), to.filename().string(),
         std::strerror(errno));
  }
}

void remove_path(const FileSystem& system, const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(fs::symlink_status(path, error))) {
    std::vector<fs::path> entries;
    for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
      entries.push_back(entry->path());
    }
    if (error) fail(ExitCode::IoFailure, "{}: cannot list: {}", path.string(), error.message());
    for (const fs::path& entry : entries) remove_path(system, entry);
  }
  if (system.remove(path) != 0 && errno != ENOENT) fail_io(path, "cannot remove");
}

void make_folders(const FileSystem& system, const fs::path& folder) {
  std::error_code ignored;
  if (fs::exists(folder, ignored)) return;
  const fs::path above = folder_of(folder);
  make_folders(system, above);
  if (system.make_folder(folder) != 0 && errno != EEXIST) fail_io(folder, "cannot make this folder");
  sync_folder(system, above);
}

void sync_folder(const FileSystem& system, const fs::path& folder) {
  const Descriptor file{system, system.open(folder, O_RDONLY | O_DIRECTORY)};
  if (file.value < 0 || system.sync(file.value) != 0) fail_io(folder, "cannot sync folder");
}

fs::path folder_of(const fs::path& path) {
  const fs::path bare = path.has_filename() ? path : path.parent_path();
  return bare.has_parent_path() ? bare.parent_path() : fs::path(".");
}

void require_writable_folder(const FileSystem& system, const fs::path& folder) {
  make_folders(system, folder);
  const AtomicFile probe(system, folder / ".write-test");
}

}  // namespace prospect
