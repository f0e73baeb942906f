#include "train/logp_file.h"

#include <cstring>

#include "tests/fuzz/harness.h"

// A file of log-probabilities as it is, and with the checksum that belongs to it: no mutation finds that.
using namespace prospect;

namespace {

constexpr Hash128 kIdentity{.high = 1, .low = 2};
constexpr size_t kHeaderBytes = 56, kEntryBytes = 32, kEntriesAt = 40, kChecksumAt = 48;

void load(std::string_view content) {
  const fuzz::MemoryFile memory(content);
  fuzz::loads_or_refuses(memory.path(), [&] {
    const LogpFile file(memory.path(), kIdentity, 4);
    size_t total = 0;
    for (size_t i = 0; i < file.size(); ++i) {
      total += file.values(i).size();
      file.sound(i);
    }
    fuzz::promise(total <= content.size(), "values larger than the file");
  });
}

/// The checksum is of the header with 0 in its place, and of the table.
std::string with_checksum(std::string content) {
  if (content.size() < kHeaderBytes) return content;
  uint64_t entries = 0, checksum = 0;
  std::memcpy(&entries, content.data() + kEntriesAt, sizeof(entries));
  std::memcpy(content.data() + kChecksumAt, &checksum, sizeof(checksum));
  if (entries > (content.size() - kHeaderBytes) / kEntryBytes) return content;
  const auto bytes = std::as_bytes(std::span(content));
  checksum = Digest()
                 .add(bytes.first(kHeaderBytes))
                 .add(bytes.subspan(kHeaderBytes, entries * kEntryBytes))
                 .value()
                 .low;
  std::memcpy(content.data() + kChecksumAt, &checksum, sizeof(checksum));
  return content;
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view content = fuzz::text_of(data, size);
  load(content);
  load(with_checksum(std::string(content)));
  return 0;
}
