#include <fmt/format.h>

#include <cstring>

#include "tests/emulator/block.h"
#include "tests/emulator/engine_copy.h"
#include "tests/emulator/reach.h"
#include "tests/emulator/swizzle.h"
#include "tests/emulator/tensor_access.h"

namespace prospect::emulator {
namespace {

/// One block that a load writes to.
struct Destination {
  SharedPlace place;
  Mbarrier* barrier;
  Checker::Work work;
};

std::vector<Destination> destinations(const Asking& asking, const LoadTarget& target, uint32_t bytes) {
  auto& [warp, instruction, lane] = asking;
  std::vector<Destination> result;
  const uint64_t low = (uint64_t{1} << kSharedRankShift) - 1;
  const auto add = [&](Space space, uint64_t address, uint64_t mbarrier) {
    const SharedPlace place = find_shared(warp, instruction, lane, space, address, bytes, "copy");
    Mbarrier& barrier = find_mbarrier(warp, instruction, lane, space, mbarrier);
    if (barrier.block != place.block) {
      warp.fault(instruction, lane, "a copy and its mbarrier lie in different blocks");
    }
    if (!barrier.is_fenced) {
      warp.fault(
          instruction, lane,
          "an mbarrier is used by a copy, but no fence.mbarrier_init or fence.proxy.async followed its "
          "initialisation");
    }
    Checker* checker = warp.block->launch.checker;
    result.push_back({place, &barrier,
                      checker == nullptr
                          ? Checker::Work{}
                          : checker->begin_work(warp, instruction, lane, *place.block, barrier.engine,
                                                static_cast<uint32_t>(barrier.phases) + 1)});
    ++place.block->incoming_copies;
  };
  if (target.blocks == 0) add(target.space, target.address, target.mbarrier);
  for (uint64_t left = target.blocks; left != 0; left &= left - 1) {
    const auto rank = static_cast<uint64_t>(std::countr_zero(left)) + 1;
    add(Space::SharedCluster, (target.address & low) | rank << kSharedRankShift,
        (target.mbarrier & low) | rank << kSharedRankShift);
  }
  return result;
}

/// `fill` writes to each destination; then their barriers have `bytes` fewer to wait for.
template <class Fill>
void start(const Asking& asking, std::vector<Destination> to, uint32_t bytes, const Fill& fill) {
  Warp* warp = &asking.warp;
  const Instruction* instruction = &asking.instruction;
  warp->block->launch.agents.add([=, lane = asking.lane, to = std::move(to)] {
    for (const Destination& each : to) {
      fill(each.place);
      --each.place.block->incoming_copies;
      update(*each.barrier, *warp, *instruction, lane, 0, -int64_t{bytes});
    }
  });
}

}  // namespace

void load_tensor(const Asking& asking, const LoadTarget& target, uint64_t map_address, int rank,
                 const std::array<int32_t, 5>& at) {
  auto& [warp, instruction, lane] = asking;
  const TensorMap map = read_tensor_map(asking, map_address, rank);
  check_tile_address(asking, target.address);
  const std::vector<Destination> to = destinations(asking, target, map.box_bytes());
  Checker* checker = warp.block->launch.checker;
  each_piece(map, at, [&](const TensorPiece& piece) {
    if (piece.begin < piece.end) {
      find_global(warp, instruction, lane, piece.address, piece.end - piece.begin, "copy");
    }
    for (const Destination& each : to) {
      if (checker == nullptr) continue;
      if (piece.begin < piece.end) {
        checker->global_work(each.work, piece.address, piece.end - piece.begin, Access::Read);
      }
      checker->shared_work(each.work, *each.place.block,
                           tile_offset(each.place.offset, piece.offset, map.swizzle), 16, Access::Write);
    }
  });
  start(asking, to, map.box_bytes(), [map, at](const SharedPlace& place) {
    each_piece(map, at, [&](const TensorPiece& piece) {
      std::byte* bytes = place.block->shared.data() + tile_offset(place.offset, piece.offset, map.swizzle);
      std::memset(bytes, 0, 16);
      if (piece.begin == piece.end) return;
      std::memcpy(bytes + piece.begin, reinterpret_cast<const void*>(piece.address), piece.end - piece.begin);
    });
  });
}

void load_bytes(const Asking& asking, const LoadTarget& target, Space from_space, uint64_t from,
                uint32_t bytes) {
  auto& [warp, instruction, lane] = asking;
  check_bulk_addresses(asking, target.address, from, bytes);
  const std::vector<Destination> to = destinations(asking, target, bytes);
  const std::byte* source = nullptr;
  Checker* checker = warp.block->launch.checker;
  if (from_space == Space::Global) {
    source = find_global(warp, instruction, lane, from, bytes, "copy");
  } else {
    const SharedPlace place = find_shared(warp, instruction, lane, Space::Shared, from, bytes, "copy");
    source = place.bytes;
    if (checker != nullptr) {
      checker->shared_work(to[0].work, *place.block, place.offset, bytes, Access::Read);
    }
  }
  for (const Destination& each : to) {
    if (checker == nullptr) continue;
    if (from_space == Space::Global) checker->global_work(each.work, from, bytes, Access::Read);
    checker->shared_work(each.work, *each.place.block, each.place.offset, bytes, Access::Write);
  }
  start(asking, to, bytes, [=](const SharedPlace& place) { std::memcpy(place.bytes, source, bytes); });
}

}  // namespace prospect::emulator
