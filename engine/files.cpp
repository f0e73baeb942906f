#include "engine/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "kernels/common/check.h"

namespace prospect {

namespace {

[[noreturn]] void fail_io(const std::filesystem::path& path, std::string_view what) {
  const int error = errno;
  fail(error == ENOENT && what == "cannot open" ? ExitCode::MissingInput : ExitCode::IoFailure, "{}: {}: {}",
       path.string(), what, std::strerror(error));
}

/// A descriptor that closes itself.
struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

int64_t open_for_reading(const std::filesystem::path& path, Descriptor& file) {
  file.value = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file.value < 0) fail_io(path, "cannot open");
  struct stat status {};
  if (::fstat(file.value, &status) != 0) fail_io(path, "cannot stat");
  if (!S_ISREG(status.st_mode)) fail(ExitCode::BadData, "{}: not a regular file", path.string());
  return status.st_size;
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) {
  Descriptor file{-1};
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

std::string read_text(const std::filesystem::path& path, int64_t limit_bytes) {
  Descriptor file{-1};
  const int64_t size = open_for_reading(path, file);
  if (size > limit_bytes) {
    fail(ExitCode::BadData, "{}: {} bytes, more than the {} that such a file may have", path.string(), size,
         limit_bytes);
  }
  std::string text(static_cast<size_t>(size), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::read(file.value, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_io(path, "cannot read");
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  text.resize(done);
  return text;
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)), temporary_(path_) {
  temporary_ += ".partial";
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0)
    fail(ExitCode::IoFailure, "{}: cannot write: {}", path_.string(), std::strerror(errno));
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_io(path_, "cannot write");
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail_io(path_, "cannot sync");
  const int closed = ::close(std::exchange(descriptor_, -1));
  if (closed != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    errno = error;
    fail_io(path_, "cannot put in place");
  }
  sync_folder(path_.has_parent_path() ? path_.parent_path() : ".");
}

void write_atomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void require_another_file(const std::filesystem::path& output, const std::filesystem::path& input) {
  std::error_code missing;
  if (!std::filesystem::equivalent(output, input, missing)) return;
  fail(ExitCode::BadConfig, "{}: is an input of this command; write to another file", output.string());
}

void sync_folder(const std::filesystem::path& folder) {
  const Descriptor file{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (file.value < 0 || ::fsync(file.value) != 0) fail_io(folder, "cannot sync folder");
}

void require_writable_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(ExitCode::IoFailure, "{}: cannot make this folder: {}", folder.string(), error.message());
  const AtomicFile probe(folder / ".write-test");
}

}  // namespace prospect
