#include "tests/emulator/runtime/fat_binary.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace prospect::emulator {
namespace {

struct Wrapper {
  uint32_t magic, version;
  const char* data;
};
constexpr uint32_t kWrapperMagic = 0x466243b1, kBinaryMagic = 0xba55ed50;
constexpr uint16_t kPtx = 1;

template <class T>
T field(const char* at, size_t offset) {
  T value;
  std::memcpy(&value, at + offset, sizeof(T));
  return value;
}

}  // namespace

/// A header (its size at 6, the size of what follows at 8), then entries: kind at 0, header size at 4, size
/// at 8, compressed size at 16.
std::vector<std::string> ptx_texts(const void* wrapper) {
  const auto* outer = static_cast<const Wrapper*>(wrapper);
  if (outer->magic != kWrapperMagic || field<uint32_t>(outer->data, 0) != kBinaryMagic) {
    std::fputs("this toolkit's fat binaries have a form that the emulator does not know\n", stderr);
    std::abort();
  }
  std::vector<std::string> texts;
  const char* entry = outer->data + field<uint16_t>(outer->data, 6);
  const char* end = entry + field<uint64_t>(outer->data, 8);
  while (entry < end) {
    const auto header = field<uint32_t>(entry, 4);
    const auto bytes = field<uint64_t>(entry, 8);
    const bool is_compressed = field<uint32_t>(entry, 16) != 0;
    if (field<uint16_t>(entry, 0) == kPtx && !is_compressed) {
      texts.emplace_back(entry + header, strnlen(entry + header, bytes));
    }
    entry += header + bytes;
  }
  return texts;
}

}  // namespace prospect::emulator
