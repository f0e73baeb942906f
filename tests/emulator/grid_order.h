#pragma once

#include <cstdint>
#include <vector>

namespace prospect::emulator {

struct Launch;

/// The numbers of the blocks of a launch in the order in which they run: whole clusters, each by rank. Only
/// some of them where the options ask for a sample.
std::vector<uint64_t> blocks_in_order(const Launch& launch);

}  // namespace prospect::emulator
