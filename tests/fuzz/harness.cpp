#include "tests/fuzz/harness.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

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

MemoryFolder::MemoryFolder()
    : TemporaryFolder(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path()) {
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
