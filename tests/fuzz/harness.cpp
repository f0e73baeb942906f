#include "tests/fuzz/harness.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "engine/one_line.h"

namespace prospect::fuzz {

void promise(bool good, std::string_view finding) {
  if (good) return;
  std::fprintf(stderr, "finding: %.*s\n", static_cast<int>(finding.size()), finding.data());
  std::abort();
}

MemoryFile::MemoryFile(std::string_view content)
    : descriptor_(::memfd_create("input", MFD_CLOEXEC)),
      path_("/proc/self/fd/" + std::to_string(descriptor_)) {
  const ssize_t written = ::write(descriptor_, content.data(), content.size());
  if (written != static_cast<ssize_t>(content.size())) std::perror("a file in memory"), std::exit(1);
}

MemoryFile::~MemoryFile() {
  ::close(descriptor_);
}

MemoryFolder::MemoryFolder() {
  const std::filesystem::path shared = "/dev/shm";
  const bool usable = ::access(shared.c_str(), W_OK) == 0;
  std::string pattern =
      ((usable ? shared : std::filesystem::temp_directory_path()) / "prospect-fuzz-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) std::perror(pattern.c_str()), std::exit(1);
  path_ = pattern;
}

MemoryFolder::~MemoryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void MemoryFolder::write(const std::string& name, std::string_view content) const {
  std::ofstream(path_ / name, std::ios::binary) << content;
}

bool loads_or_refuses(std::string_view source, const std::function<void()>& load,
                      std::initializer_list<ExitCode> codes) {
  try {
    load();
    return true;
  } catch (const Error& error) {
    const std::string words = one_line(error.what());
    promise(std::find(codes.begin(), codes.end(), error.code()) != codes.end(),
            "exit code " + std::to_string(static_cast<int>(error.code())) + ": " + words);
    promise(words.find(source) != words.npos, "does not name " + std::string(source) + ": " + words);
    return false;
  }
}

}  // namespace prospect::fuzz
