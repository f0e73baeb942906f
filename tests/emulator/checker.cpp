#include "tests/emulator/checker.h"

#include <fmt/format.h>

#include <algorithm>

#include "tests/emulator/block.h"

namespace prospect::emulator {
namespace {

size_t thread_of(const Warp& warp, int lane) {
  return static_cast<size_t>(warp.index * kLanes + lane);
}
uint32_t* clock_of(const Warp& warp, int lane) {
  Checker::BlockShadow& shadow = *warp.block->shadow;
  return shadow.clocks.data() + thread_of(warp, lane) * shadow.threads;
}

[[noreturn]] void race(Warp& warp, const Instruction& instruction, int lane, uint64_t address,
                       const char* space, const std::string& what, uint32_t other_block, size_t other,
                       uint32_t other_pc) {
  const Launch& launch = warp.block->launch;
  const Extent block = launch.grid.place(other_block - 1), thread = launch.block.place(other);
  warp.fault(instruction, lane,
             fmt::format("race: {} at {} address {:#x}\n  before by block ({},{},{}) thread ({},{},{}) at {}",
                         what, space, address, block.x, block.y, block.z, thread.x, thread.y, thread.z,
                         launch.program.where(launch.program.code[other_pc])));
}

}  // namespace

std::vector<Checker::Cell>& Checker::cells_of(const Allocation& allocation) {
  std::vector<Cell>& cells = global_[allocation.base];
  if (cells.empty()) cells.resize(allocation.bytes / kGrain + 1);
  return cells;
}

void Checker::note_host_write(uint64_t address, size_t bytes) {
  const Allocation* found = memory_.holds(address) && bytes > 0 ? memory_.find(address) : nullptr;
  if (found == nullptr) return;
  std::vector<Cell>& cells = cells_of(*found);
  const uint64_t begin = address - found->base;
  for (uint64_t i = begin / kGrain; i <= (begin + bytes - 1) / kGrain; ++i) cells[i].initialised = true;
}

void Checker::begin_block(Block& block) {
  const Launch& launch = block.launch;
  if (block.shadow == nullptr) block.shadow = std::make_unique<BlockShadow>();
  BlockShadow& shadow = *block.shadow;
  shadow.id = static_cast<uint32_t>(block.index) + 1;
  shadow.threads = block.warps.size() * kLanes;
  shadow.clocks.assign(shadow.threads * shadow.threads, 0);
  for (size_t i = 0; i < shadow.threads; ++i) shadow.clocks[i * shadow.threads + i] = 1;
  shadow.shared.assign((launch.program.shared_bytes + launch.dynamic_shared) / kGrain + 1, Cell{});
  shadow.read_tables.clear();
}

void Checker::shared_access(Warp& warp, const Instruction& instruction, int lane, uint64_t offset,
                            uint32_t bytes, Access access) {
  std::vector<Cell>& cells = warp.block->shadow->shared;
  for (uint64_t i = offset / kGrain; i <= (offset + bytes - 1) / kGrain; ++i) {
    touch(cells[i], warp, instruction, lane, kSharedBase + i * kGrain, access, "shared");
  }
}

void Checker::global_access(Warp& warp, const Instruction& instruction, int lane, uint64_t address,
                            uint32_t bytes, Access access) {
  const Allocation& allocation = *memory_.find(address);
  std::vector<Cell>& cells = cells_of(allocation);
  const uint64_t offset = address - allocation.base;
  for (uint64_t i = offset / kGrain; i <= (offset + bytes - 1) / kGrain; ++i) {
    touch(cells[i], warp, instruction, lane, allocation.base + i * kGrain, access, "global");
  }
}

void Checker::note_copy(Warp& warp, uint64_t offset, uint32_t bytes, bool pending) {
  std::vector<Cell>& cells = warp.block->shadow->shared;
  for (uint64_t i = offset / kGrain; i <= (offset + bytes - 1) / kGrain; ++i) cells[i].copy_pending = pending;
}

void Checker::check_readers(const Cell& cell, Warp& warp, const Instruction& instruction, int lane,
                            uint64_t address, const char* space) {
  const BlockShadow& shadow = *warp.block->shadow;
  const uint32_t* seen = clock_of(warp, lane);
  const size_t self = thread_of(warp, lane);
  const auto report = [&](size_t reader) {
    race(warp, instruction, lane, address, space, "write after a read", cell.reader_block, reader,
         cell.read_pc);
  };
  if (cell.read_by_blocks || cell.reader_block != shadow.id) report(cell.reader);
  if (cell.readers < 0) {
    if (cell.reader != self && seen[cell.reader] < cell.read_clock) report(cell.reader);
    return;
  }
  const Clock& clocks = shadow.read_tables[static_cast<size_t>(cell.readers)];
  for (size_t reader = 0; reader < clocks.size(); ++reader) {
    if (reader != self && seen[reader] < clocks[reader]) report(reader);
  }
}

void Checker::touch(Cell& cell, Warp& warp, const Instruction& instruction, int lane, uint64_t address,
                    Access access, const char* space) {
  BlockShadow& shadow = *warp.block->shadow;
  const size_t self = thread_of(warp, lane);
  const uint32_t* seen = clock_of(warp, lane);
  const auto pc = static_cast<uint32_t>(&instruction - warp.block->launch.program.code.data());
  if (cell.launch != launch_) {  // launches follow each other: nothing of an earlier one can race
    const bool initialised = cell.initialised;
    cell = Cell{};
    cell.launch = launch_;
    cell.initialised = initialised;
  }
  if (access != Access::Write && !cell.initialised) {
    warp.fault(instruction, lane,
               fmt::format("read of {} memory that nobody wrote, at {:#x}", space, address));
  }
  if (access != Access::Write && cell.copy_pending) {
    warp.fault(instruction, lane,
               fmt::format("read of a cp.async that nobody awaited, at shared {:#x}", address));
  }
  if (cell.writer_block != 0 && !(access == Access::Atomic && cell.written_by_atomic)) {
    const bool is_ordered =
        cell.writer_block == shadow.id && (cell.writer == self || seen[cell.writer] >= cell.write_clock);
    if (!is_ordered) {
      race(warp, instruction, lane, address, space,
           access == Access::Read ? "read after a write" : "two writes", cell.writer_block, cell.writer,
           cell.write_pc);
    }
  }
  if (access == Access::Read) {
    if (cell.reader_block != 0 && cell.reader_block != shadow.id)
      cell.read_by_blocks = true, cell.readers = -1;
    const bool is_first = cell.reader_block != shadow.id;
    if (!is_first && cell.readers < 0 && cell.reader != self && seen[cell.reader] < cell.read_clock) {
      cell.readers = static_cast<int32_t>(shadow.read_tables.size());
      shadow.read_tables.emplace_back(shadow.threads, 0)[cell.reader] = cell.read_clock;
    }
    if (cell.readers >= 0) shadow.read_tables[static_cast<size_t>(cell.readers)][self] = seen[self];
    cell.reader_block = shadow.id;
    cell.reader = static_cast<uint16_t>(self);
    cell.read_clock = seen[self];
    cell.read_pc = pc;
    return;
  }
  if (cell.reader_block != 0) check_readers(cell, warp, instruction, lane, address, space);
  cell.initialised = true;
  cell.written_by_atomic = access == Access::Atomic;
  cell.writer_block = shadow.id;
  cell.writer = static_cast<uint16_t>(self);
  cell.write_clock = seen[self];
  cell.write_pc = pc;
  cell.reader_block = 0, cell.readers = -1, cell.read_by_blocks = false;
}

void Checker::release(Warp& warp, LaneMask lanes, Clock& clock) {
  const size_t threads = warp.block->shadow->threads;
  clock.resize(threads);
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    uint32_t* own = clock_of(warp, lane);
    for (size_t i = 0; i < threads; ++i) clock[i] = std::max(clock[i], own[i]);
    ++own[thread_of(warp, lane)];
  }
}

void Checker::acquire(Warp& warp, LaneMask lanes, const Clock& clock) {
  for (; lanes != 0; lanes &= lanes - 1) {
    uint32_t* own = clock_of(warp, std::countr_zero(lanes));
    for (size_t i = 0; i < clock.size(); ++i) own[i] = std::max(own[i], clock[i]);
  }
}

}  // namespace prospect::emulator
