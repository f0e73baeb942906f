#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "kernels/common/bf16.h"
#include "tests/emulator/block.h"
#include "tests/emulator/engine_copy.h"
#include "tests/emulator/reach.h"
#include "tests/emulator/tensor_access.h"

namespace prospect::emulator {
namespace {

template <class T, auto add>
void combine(std::byte* to, const std::byte* from, uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; i += sizeof(T)) {
    T a, b;
    std::memcpy(&a, to + i, sizeof(T));
    std::memcpy(&b, from + i, sizeof(T));
    a = static_cast<T>(add(a, b));
    std::memcpy(to + i, &a, sizeof(T));
  }
}
template <class T>
constexpr auto kSum = [](T a, T b) { return a + b; };
constexpr auto kBf16Sum = [](uint16_t a, uint16_t b) {
  return bf16(load(std::bit_cast<bf16>(a)) + load(std::bit_cast<bf16>(b))).bits;
};

/// What a thread's copies are to the checker: they read and write as two engines, in the group to come.
struct Works {
  Checker::Work reading, writing;
};
Works begin_works(const Asking& asking, BulkQueue& queue) {
  auto& [warp, instruction, lane] = asking;
  Checker* checker = warp.block->launch.checker;
  if (checker == nullptr) return {};
  if (queue.reader == 0) {
    queue.reader = checker->add_engine(*warp.block);
    queue.writer = checker->add_engine(*warp.block);
  }
  const uint32_t group = queue.committed + 1;
  return {checker->begin_work(warp, instruction, lane, *warp.block, queue.reader, group),
          checker->begin_work(warp, instruction, lane, *warp.block, queue.writer, group)};
}

void start(const Asking& asking, BulkQueue& queue, std::vector<BulkCopy::Piece> pieces,
           BulkCopy::Combine combine) {
  const auto copy = std::make_shared<BulkCopy>(std::move(pieces), combine);
  queue.open.push_back(copy);
  asking.warp.block->launch.agents.add([copy] { copy->write(); });
}

}  // namespace

BulkCopy::Combine adder(Element element) {
  switch (element) {
    case Element::Float32:
      return combine<float, kSum<float>>;
    case Element::Float64:
      return combine<double, kSum<double>>;
    case Element::Bfloat16:
      return combine<uint16_t, kBf16Sum>;
    case Element::Unsigned32:
      return combine<uint32_t, kSum<uint32_t>>;
    case Element::Unsigned64:
      return combine<uint64_t, kSum<uint64_t>>;
    default:
      return nullptr;
  }
}

void store_tensor(const Asking& asking, uint64_t map_address, int rank, const std::array<int32_t, 5>& at,
                  uint64_t from, bool adds) {
  auto& [warp, instruction, lane] = asking;
  const TensorMap map = read_tensor_map(asking, map_address, rank);
  check_tile_address(asking, from);
  const BulkCopy::Combine combine = adds ? adder(map.element) : nullptr;
  if (adds && combine == nullptr) warp.fault(instruction, lane, "a tensor of elements that cannot be added");
  const SharedPlace source =
      find_shared(warp, instruction, lane, Space::Shared, from, map.box_bytes(), "copy");
  BulkQueue& queue = warp.bulk[lane];
  const Works works = begin_works(asking, queue);
  std::vector<BulkCopy::Piece> pieces;
  each_piece(map, at, [&](const TensorPiece& piece) {
    if (piece.begin == piece.end) return;
    const uint32_t offset = tile_offset(source.offset, piece.offset, map.swizzle) + piece.begin;
    const uint32_t bytes = piece.end - piece.begin;
    pieces.push_back({find_global(warp, instruction, lane, piece.address, bytes, "copy"),
                      source.block->shared.data() + offset, bytes});
    if (Checker* checker = warp.block->launch.checker) {
      checker->shared_work(works.reading, *source.block, offset, bytes, Access::Read);
      checker->global_work(works.writing, piece.address, bytes, adds ? Access::Atomic : Access::Write);
    }
  });
  start(asking, queue, std::move(pieces), combine);
}

void store_bytes(const Asking& asking, uint64_t to, uint64_t from, uint32_t bytes,
                 BulkCopy::Combine combine) {
  auto& [warp, instruction, lane] = asking;
  check_bulk_addresses(asking, to, from, bytes);
  const SharedPlace source = find_shared(warp, instruction, lane, Space::Shared, from, bytes, "copy");
  std::byte* target = find_global(warp, instruction, lane, to, bytes, "copy");
  BulkQueue& queue = warp.bulk[lane];
  const Works works = begin_works(asking, queue);
  if (Checker* checker = warp.block->launch.checker) {
    checker->shared_work(works.reading, *source.block, source.offset, bytes, Access::Read);
    checker->global_work(works.writing, to, bytes, combine == nullptr ? Access::Write : Access::Atomic);
  }
  start(asking, queue, {{target, source.bytes, bytes}}, combine);
}

void commit_bulk_group(Warp& warp, LaneMask lanes) {
  for (; lanes != 0; lanes &= lanes - 1) {
    BulkQueue& queue = warp.bulk[std::countr_zero(lanes)];
    queue.groups.push_back(std::move(queue.open));
    queue.open.clear();
    ++queue.committed;
  }
}

void wait_for_bulk_groups(Warp& warp, LaneMask lanes, uint32_t pending, bool only_read) {
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    BulkQueue& queue = warp.bulk[lane];
    if (queue.groups.size() > pending) {
      for (size_t i = 0; i + pending < queue.groups.size(); ++i) {
        for (const auto& copy : queue.groups[i]) only_read ? copy->read() : copy->write();
      }
    }
    while (!only_read && queue.groups.size() > pending) queue.groups.pop_front();
    Checker* checker = warp.block->launch.checker;
    if (checker == nullptr || queue.reader == 0 || queue.committed <= pending) continue;
    const uint32_t done = queue.committed - pending;
    checker->learn(warp, 1u << lane, *warp.block, queue.reader, done);
    if (!only_read) checker->learn(warp, 1u << lane, *warp.block, queue.writer, done);
  }
}

}  // namespace prospect::emulator
