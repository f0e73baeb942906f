#include "train/logp_file.h"

#include <array>
#include <bit>
#include <cstring>

#include "kernels/common/check.h"

namespace prospect {

namespace {

static_assert(std::endian::native == std::endian::little, "the files hold little-endian values");

constexpr std::array<char, 16> kMagic = {'p', 'r', 'o', 's', 'p', 'e', 'c', 't',
                                         ' ', 'l', 'o', 'g', 'p', 's', ' ', '1'};

struct Header {
  std::array<char, 16> magic = kMagic;
  Hash128 identity;
  uint64_t element_bytes = 0, entries = 0, checksum = 0;
};
static_assert(sizeof(Header) == 56);

struct TableEntry {
  Hash128 key;
  uint64_t elements = 0, checksum = 0;
};
static_assert(sizeof(TableEntry) == 32);

/// Of the header's other fields and the table.
uint64_t checksum_of(Header header, std::span<const TableEntry> table) {
  header.checksum = 0;
  const Hash128 hash = Digest().add(std::as_bytes(std::span(&header, 1))).add(std::as_bytes(table)).value();
  return hash.low;
}

}  // namespace

void write_logp_file(const FileSystem& system, const std::filesystem::path& path, const Hash128& identity,
                     int64_t element_bytes, std::span<const LogpEntry> entries) {
  const auto bytes_each = static_cast<uint64_t>(element_bytes);
  std::vector<TableEntry> table;
  for (const LogpEntry& entry : entries) {
    table.push_back({entry.key, entry.values.size() / bytes_each, hash64(entry.values)});
  }
  Header header{.identity = identity, .element_bytes = bytes_each, .entries = table.size()};
  header.checksum = checksum_of(header, table);
  AtomicFile file(system, path);
  file.write(std::as_bytes(std::span(&header, 1)));
  file.write(std::as_bytes(std::span(table)));
  for (const LogpEntry& entry : entries) file.write(entry.values);
  file.commit();
}

LogpFile::LogpFile(const std::filesystem::path& path, const Hash128& identity, int64_t element_bytes,
                   const FileSystem& system)
    : file_(path, system) {
  const auto require_that = [&](bool good, const char* reason) {
    if (!good) fail(ExitCode::BadData, "{}: {}", path.string(), reason);
  };
  std::span<const std::byte> rest = file_.bytes();
  Header header;
  require_that(rest.size() >= sizeof(header), "is shorter than its header");
  std::memcpy(&header, rest.data(), sizeof(header));
  rest = rest.subspan(sizeof(header));
  require_that(header.magic == kMagic, "holds no log-probabilities");
  require_that(header.identity == identity, "belongs to another model or program");
  require_that(header.element_bytes == static_cast<uint64_t>(element_bytes), "holds another type of numbers");
  require_that(header.entries <= rest.size() / sizeof(TableEntry), "is shorter than its table");
  std::vector<TableEntry> table(header.entries);
  if (!table.empty()) std::memcpy(table.data(), rest.data(), table.size() * sizeof(TableEntry));
  rest = rest.subspan(table.size() * sizeof(TableEntry));
  require_that(checksum_of(header, table) == header.checksum, "its table was changed after it was written");
  for (const TableEntry& entry : table) {
    require_that(entry.elements <= rest.size() / header.element_bytes, "was cut short");
    const size_t bytes = entry.elements * header.element_bytes;
    entries_.push_back({entry.key, rest.first(bytes)});
    checksums_.push_back(entry.checksum);
    rest = rest.subspan(bytes);
  }
  require_that(rest.empty(), "is longer than its table says");
}

bool LogpFile::sound(size_t index) const {
  return hash64(entries_[index].values) == checksums_[index];
}

}  // namespace prospect
