#include "tests/emulator/grid_order.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "tests/emulator/block.h"

namespace prospect::emulator {
namespace {

/// At most `most` of 0, 1 .. count - 1, in the middle of equal parts and symmetrical, so that work that grows
/// evenly along them is met at its mean.
std::vector<uint32_t> spread(uint32_t count, uint32_t most) {
  const uint32_t size = std::min(count, most);
  std::vector<uint32_t> chosen(size);
  for (uint32_t i = 0; i < (size + 1) / 2; ++i) {
    chosen[i] = static_cast<uint32_t>((uint64_t{count} * (2 * i + 1) - size) / (2 * size));
    chosen[size - 1 - i] = count - 1 - chosen[i];
  }
  return chosen;
}

/// The numbers of clusters of a grid of them.
std::vector<uint64_t> clusters_to_run(const Launch& launch, const Extent& clusters) {
  std::vector<uint64_t> chosen;
  if (!launch.options.sample_blocks) {
    chosen.resize(clusters.count());
    std::iota(chosen.begin(), chosen.end(), 0);
    return chosen;
  }
  // An odd number, so that the sample does not fall into step with grids of powers of two.
  constexpr uint32_t kMost = 33;
  const std::vector<uint32_t> xs = spread(clusters.x, kMost);
  const std::vector<uint32_t> ys = spread(clusters.y, kMost / static_cast<uint32_t>(xs.size()));
  const std::vector<uint32_t> zs = spread(clusters.z, kMost / static_cast<uint32_t>(xs.size() * ys.size()));
  for (const uint64_t z : zs) {
    for (const uint64_t y : ys) {
      for (const uint64_t x : xs) chosen.push_back((z * clusters.y + y) * clusters.x + x);
    }
  }
  return chosen;
}

}  // namespace

std::vector<uint64_t> blocks_in_order(const Launch& launch) {
  const Extent &size = launch.cluster, &grid = launch.grid;
  const Extent clusters{grid.x / size.x, grid.y / size.y, grid.z / size.z};
  std::vector<uint64_t> chosen = clusters_to_run(launch, clusters);
  const Order order = launch.options.order;
  if (order == Order::Reverse) std::reverse(chosen.begin(), chosen.end());
  if (order == Order::Random || order == Order::Priority) {
    std::shuffle(chosen.begin(), chosen.end(), std::mt19937_64(launch.options.seed));
  }
  std::vector<uint64_t> blocks;
  for (const uint64_t number : chosen) {
    const Extent cluster = clusters.place(number);
    for (uint64_t rank = 0; rank < size.count(); ++rank) {
      const Extent inside = size.place(rank);
      const uint64_t x = uint64_t{cluster.x} * size.x + inside.x, y = uint64_t{cluster.y} * size.y + inside.y,
                     z = uint64_t{cluster.z} * size.z + inside.z;
      blocks.push_back((z * grid.y + y) * grid.x + x);
    }
  }
  return blocks;
}

}  // namespace prospect::emulator
