#include "engine/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "kernels/common/check.h"

namespace prospect {

namespace {

constexpr std::array<std::pair<std::string_view, int>, 7> kErrors = {{{"EIO", EIO},
                                                                      {"ENOSPC", ENOSPC},
                                                                      {"EDQUOT", EDQUOT},
                                                                      {"EROFS", EROFS},
                                                                      {"EACCES", EACCES},
                                                                      {"EMFILE", EMFILE},
                                                                      {"EINTR", EINTR}}};
constexpr std::array<std::string_view, 9> kCalls = {"any",   "open",   "read",   "write",      "sync",
                                                    "close", "rename", "remove", "make_folder"};

bool moves_bytes(std::string_view call) {
  return call == "read" || call == "write";
}

[[noreturn]] void refuse(std::string_view text, std::string_view reason) {
  fail(ExitCode::Usage, "--fault: {}: {}", text, reason);
}

[[noreturn]] void die() {
  std::raise(SIGKILL);
  std::abort();
}

}  // namespace

Fault Fault::parse(std::string_view text) {
  const size_t second = text.find(':'), third = text.rfind(':');
  if (second == third || second == std::string_view::npos) refuse(text, "is not CALL:KIND:N");
  Fault fault{.call = std::string(text.substr(0, second))};
  if (std::find(kCalls.begin(), kCalls.end(), fault.call) == kCalls.end()) refuse(text, "no such call");
  const std::string_view kind = text.substr(second + 1, third - second - 1);
  const auto error =
      std::find_if(kErrors.begin(), kErrors.end(), [&](const auto& entry) { return entry.first == kind; });
  if (error != kErrors.end()) {
    fault.error = error->second;
  } else if (kind == "short" && (fault.call == "any" || moves_bytes(fault.call))) {
    fault.kind = Kind::Short;
  } else if (kind == "kill") {
    fault.kind = Kind::Kill;
  } else {
    refuse(text, "no such kind for this call");
  }
  std::string_view number = text.substr(third + 1);
  fault.lasting = number.ends_with('+');
  if (fault.lasting) number.remove_suffix(1);
  const auto [end, bad] = std::from_chars(number.data(), number.data() + number.size(), fault.first);
  if (bad != std::errc() || end != number.data() + number.size() || fault.first < 1) {
    refuse(text, "N must be a number from 1");
  }
  return fault;
}

FileSystem::FileSystem(Fault fault)
    : injection_(std::make_shared<Injection>(Injection{.fault = std::move(fault)})) {}

const Fault* FileSystem::next(std::string_view call) const {
  if (!injection_) return nullptr;
  const Fault& fault = injection_->fault;
  const bool meant =
      fault.call == "any" ? fault.kind != Fault::Kind::Short || moves_bytes(call) : fault.call == call;
  if (!meant) return nullptr;
  const int64_t number = ++injection_->calls;
  return number == fault.first || (fault.lasting && number > fault.first) ? &fault : nullptr;
}

bool FileSystem::fails(std::string_view call) const {
  const Fault* fault = next(call);
  if (fault == nullptr) return false;
  if (fault->kind == Fault::Kind::Kill) die();
  errno = fault->error;
  return true;
}

int FileSystem::open(const std::filesystem::path& path, int flags, mode_t mode) const {
  return fails("open") ? -1 : ::open(path.c_str(), flags | O_CLOEXEC, mode);
}

ssize_t FileSystem::read(int descriptor, std::span<std::byte> bytes) const {
  if (const Fault* fault = next("read")) {
    if (fault->kind == Fault::Kind::Kill) die();
    if (fault->kind == Fault::Kind::Error) return errno = fault->error, -1;
    bytes = bytes.first((bytes.size() + 1) / 2);
  }
  return ::read(descriptor, bytes.data(), bytes.size());
}

ssize_t FileSystem::write(int descriptor, std::span<const std::byte> bytes) const {
  const Fault* fault = next("write");
  if (fault == nullptr) return ::write(descriptor, bytes.data(), bytes.size());
  if (fault->kind == Fault::Kind::Error) return errno = fault->error, -1;
  const ssize_t written = ::write(descriptor, bytes.data(), (bytes.size() + 1) / 2);
  if (fault->kind == Fault::Kind::Kill) die();
  return written;
}

int FileSystem::sync(int descriptor) const {
  return fails("sync") ? -1 : ::fsync(descriptor);
}

int FileSystem::close(int descriptor) const {
  const bool failed = fails("close");
  const int error = errno;
  const int result = ::close(descriptor);
  if (failed) errno = error;
  return failed ? -1 : result;
}

int FileSystem::rename(const std::filesystem::path& from, const std::filesystem::path& to) const {
  return fails("rename") ? -1 : ::rename(from.c_str(), to.c_str());
}

int FileSystem::remove(const std::filesystem::path& path) const {
  return fails("remove") ? -1 : std::remove(path.c_str());
}

int FileSystem::make_folder(const std::filesystem::path& path) const {
  return fails("make_folder") ? -1 : ::mkdir(path.c_str(), 0777);
}

}  // namespace prospect
