#include "tests/emulator/requests.h"

#include <algorithm>
#include <array>

#include "tests/emulator/block.h"

namespace prospect::emulator {
namespace {

/// Sorted, each once.
struct Places {
  std::array<uint64_t, size_t{kLanes} * 4> values;
  size_t count = 0;
  void add(uint64_t value) { values[count++] = value; }
  size_t distinct() {
    std::sort(values.begin(), values.begin() + count);
    return static_cast<size_t>(std::unique(values.begin(), values.begin() + count) - values.begin());
  }
};

/// Accesses of more than 4 bytes are answered in two or four parts of the warp; in each, the bank with the
/// most different words decides.
void count_shared(RequestCounts& counts, const uint64_t* addresses, LaneMask lanes, uint32_t bytes) {
  const int together = bytes <= 4 ? 32 : bytes == 8 ? 16 : 8;
  for (int first = 0; first < kLanes; first += together) {
    Places words;
    for (int lane = first; lane < first + together; ++lane) {
      if ((lanes >> lane & 1) == 0) continue;
      for (uint32_t i = 0; i < std::max(bytes, 4u); i += 4) words.add((addresses[lane] + i) / 4);
    }
    if (words.count == 0) continue;
    std::array<uint32_t, 32> of_bank{};
    uint32_t most = 0;
    const size_t distinct = words.distinct();
    for (size_t i = 0; i < distinct; ++i) most = std::max(most, ++of_bank[words.values[i] % 32]);
    counts.units += most;
    ++counts.least;
  }
}

void count_global(RequestCounts& counts, const uint64_t* addresses, LaneMask lanes, uint32_t bytes) {
  constexpr uint64_t kSector = 32;
  Places sectors, places;
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    sectors.add(addresses[lane] / kSector);
    places.add(addresses[lane]);
  }
  counts.units += sectors.distinct();
  counts.least += (places.distinct() * bytes + kSector - 1) / kSector;
}

}  // namespace

void count_request(Warp& warp, const Instruction& instruction, LaneMask lanes, Space space,
                   const Operand& address, uint32_t bytes) {
  Launch& launch = warp.block->launch;
  if (launch.requests.empty()) return;
  uint64_t addresses[kLanes] = {};
  for (LaneMask left = lanes; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    addresses[lane] = warp.read(address, lane) + static_cast<uint64_t>(address.offset);
  }
  if (space == Space::Generic) {
    const uint64_t first = addresses[std::countr_zero(lanes)];
    space = first < kSharedWindow ? Space::Global : first < kLocalWindow ? Space::Shared : Space::Local;
  }
  if (space != Space::Global && space != Space::Shared) return;
  RequestCounts& counts = launch.requests[static_cast<size_t>(&instruction - launch.program.code.data())];
  counts.space = space;
  ++counts.requests;
  counts.lanes += static_cast<uint64_t>(std::popcount(lanes));
  if (space == Space::Shared) {
    count_shared(counts, addresses, lanes, bytes);
  } else {
    count_global(counts, addresses, lanes, bytes);
  }
}

}  // namespace prospect::emulator
