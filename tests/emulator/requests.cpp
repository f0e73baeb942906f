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

void count_global(RequestCounts& counts, Block& block, const uint64_t* addresses, LaneMask lanes,
                  uint32_t bytes, Access access) {
  Places sectors, places;
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    sectors.add(addresses[lane] / kSectorBytes);
    places.add(addresses[lane]);
  }
  const size_t distinct = sectors.distinct();
  counts.units += distinct;
  counts.least += (places.distinct() * bytes + kSectorBytes - 1) / kSectorBytes;
  for (size_t i = 0; i < distinct;) {
    const Allocation* found = block.launch.memory.find(sectors.values[i] * kSectorBytes);
    if (found == nullptr) return;  // a fault follows
    const uint64_t end = (found->base + found->bytes + kSectorBytes - 1) / kSectorBytes;
    const size_t first = i;
    while (i < distinct && sectors.values[i] < end) ++i;
    if (i == first) return;  // a fault follows: the gap behind an allocation
    const auto add = [&](bool is_written) {
      std::vector<uint64_t>& all = block.footprint[{found->base, is_written}];
      all.insert(all.end(), &sectors.values[first], &sectors.values[first] + (i - first));
    };
    if (reads(access)) add(false);
    if (writes(access)) add(true);
  }
}

}  // namespace

RequestCounts& RequestCounts::operator+=(const RequestCounts& other) {
  requests += other.requests;
  lanes += other.lanes;
  units += other.units;
  least += other.least;
  return *this;
}

void Traffic::add(Footprint& footprint) {
  for (auto& [use, sectors] : footprint) {
    std::sort(sectors.begin(), sectors.end());
    uses[use].requested += sectors.size();
    uses[use].distinct +=
        static_cast<uint64_t>(std::unique(sectors.begin(), sectors.end()) - sectors.begin());
  }
  footprint.clear();
}

void count_request(Warp& warp, const Instruction& instruction, LaneMask lanes, Space space,
                   const Operand& address, uint32_t bytes, Access access) {
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
  InstructionRequests& both = launch.requests[static_cast<size_t>(&instruction - launch.program.code.data())];
  RequestCounts& counts = space == Space::Shared ? both.shared : both.global;
  ++counts.requests;
  counts.lanes += static_cast<uint64_t>(std::popcount(lanes));
  if (space == Space::Shared) {
    count_shared(counts, addresses, lanes, bytes);
  } else {
    count_global(counts, *warp.block, addresses, lanes, bytes, access);
  }
}

}  // namespace prospect::emulator
