#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include "kernels/common/error.h"
#include "tests/support/temporary_folder.h"

/// What a target is made of. A target is a file tests/fuzz/<format>_fuzz.cpp with libFuzzer's entry, which
/// reads any bytes as that format; what breaks a promise ends the process. libFuzzer and the replay
/// (replay.cpp) run it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace prospect::fuzz {

/// A file that lies in memory only and has a path, for readers that take one.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view content);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  int descriptor_;
  std::string path_;
};

/// A folder of this process in a file system in memory (or the one for temporary files), removed at the end.
class MemoryFolder : public test::TemporaryFolder {
 public:
  MemoryFolder();
};

/// Ends the process with this finding unless `good`.
void promise(bool good, std::string_view finding);

/// Runs `load`, which may succeed, or refuse with one of `codes` in a sentence that names `source`. Any other
/// end is a finding. Returns whether it succeeded.
bool loads_or_refuses(std::string_view source, const std::function<void()>& load,
                      std::initializer_list<ExitCode> codes = {ExitCode::BadData});

inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace prospect::fuzz
