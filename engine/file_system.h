#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace prospect {

/// What is to go wrong with a call to the file system, so that tests can see what becomes of it:
/// CALL:KIND:N or CALL:KIND:N+, for the N-th such call (from 1), or that and all later ones.
///   CALL  open, read, write, sync, close, rename, remove, make_folder, or any
///   KIND  EIO, ENOSPC, EDQUOT, EROFS, EACCES, EMFILE, EINTR: the call does nothing and fails so
///         short: a read or write moves half of the bytes (any call: those only)
///         kill: a write moves half of the bytes, any other call does nothing, and the process is dead
struct Fault {
  enum class Kind { Error, Short, Kill };
  std::string call;
  Kind kind = Kind::Error;
  int error = 0;  ///< errno
  int64_t first = 1;
  bool lasting = false;

  /// Throws: Error(Usage) for a text that says no fault.
  static Fault parse(std::string_view text);
};

/// The one way to the file system: POSIX calls with their results and errno, which a fault can make fail.
/// Copies count their calls together. From one thread at a time.
class FileSystem {
 public:
  FileSystem() = default;
  explicit FileSystem(Fault fault);

  int open(const std::filesystem::path& path, int flags, mode_t mode = 0) const;
  ssize_t read(int descriptor, std::span<std::byte> bytes) const;
  ssize_t write(int descriptor, std::span<const std::byte> bytes) const;
  int sync(int descriptor) const;
  /// The descriptor is closed whatever the result.
  int close(int descriptor) const;
  int rename(const std::filesystem::path& from, const std::filesystem::path& to) const;
  /// A file or an empty folder.
  int remove(const std::filesystem::path& path) const;
  int make_folder(const std::filesystem::path& path) const;

  /// Whether there were as many calls as the fault needs to happen.
  bool faulted() const { return injection_ && injection_->calls >= injection_->fault.first; }

 private:
  struct Injection {
    Fault fault;
    int64_t calls = 0;  ///< that the fault is about, so far
  };
  /// What is to go wrong with this call, or null.
  const Fault* next(std::string_view call) const;
  /// For calls that move no bytes. Sets errno.
  bool fails(std::string_view call) const;

  std::shared_ptr<Injection> injection_;  ///< null: nothing goes wrong
};

}  // namespace prospect
