#include "tests/emulator/checker.h"

#include <fmt/format.h>

#include <algorithm>

#include "tests/emulator/block.h"

namespace prospect::emulator {

/// Who touches memory, and what is before that.
struct Checker::Actor {
  Warp& warp;
  const Instruction& instruction;
  int lane;
  BlockShadow& shadow;
  uint32_t thread;
  const Thread& state;

  Actor(Warp& of, const Instruction& at, int in_lane)
      : warp(of),
        instruction(at),
        lane(in_lane),
        shadow(*of.block->shadow),
        thread(static_cast<uint32_t>(of.index * kLanes + in_lane)),
        state(shadow.threads[thread]) {}

  bool is_after(uint32_t block, uint32_t other, uint32_t time) const {
    return (block == shadow.id && other == thread) || state.past->of(block, other) >= time;
  }
  uint32_t pc() const { return static_cast<uint32_t>(&instruction - warp.block->launch.program.code.data()); }
  [[noreturn]] void race(uint64_t address, const char* space, const char* what, uint32_t other_block,
                         uint32_t other, uint32_t other_pc) const {
    const Launch& launch = warp.block->launch;
    const Extent block = launch.grid.place(other_block - 1), place = launch.block.place(other);
    warp.fault(
        instruction, lane,
        fmt::format("race: {} at {} address {:#x}\n  before by block ({},{},{}) thread ({},{},{}) at {}",
                    what, space, address, block.x, block.y, block.z, place.x, place.y, place.z,
                    launch.program.where(launch.program.code[other_pc])));
  }
};

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

void Checker::begin_launch() {
  ++launch_;
  published_.clear();
}

void Checker::begin_block(Block& block) {
  const Launch& launch = block.launch;
  if (block.shadow == nullptr) block.shadow = std::make_unique<BlockShadow>();
  BlockShadow& shadow = *block.shadow;
  shadow.id = static_cast<uint32_t>(block.index) + 1;
  shadow.threads.assign(block.warps.size() * kLanes,
                        Thread{std::make_shared<History>(), 1, nullptr, nullptr});
  shadow.shared.assign((launch.program.shared_bytes + launch.dynamic_shared) / kGrain + 1, Cell{});
  shadow.read_tables.clear();
}

void Checker::shared_access(Warp& warp, const Instruction& instruction, int lane, uint64_t offset,
                            uint32_t bytes, Access access) {
  std::vector<Cell>& cells = warp.block->shadow->shared;
  const Actor actor(warp, instruction, lane);
  for (uint64_t i = offset / kGrain; i <= (offset + bytes - 1) / kGrain; ++i) {
    touch(cells[i], actor, kSharedBase + i * kGrain, access, "shared");
  }
  if (is_strong(access)) {
    const uint64_t key = 1ull << 63 | uint64_t{actor.shadow.id} << 32 | offset;
    order(warp, lane, key, access, instruction.ordering);
  }
}

void Checker::global_access(Warp& warp, const Instruction& instruction, int lane, uint64_t address,
                            uint32_t bytes, Access access) {
  const Allocation& allocation = *memory_.find(address);
  std::vector<Cell>& cells = cells_of(allocation);
  const Actor actor(warp, instruction, lane);
  const uint64_t offset = address - allocation.base;
  for (uint64_t i = offset / kGrain; i <= (offset + bytes - 1) / kGrain; ++i) {
    touch(cells[i], actor, allocation.base + i * kGrain, access, "global");
  }
  if (is_strong(access)) order(warp, lane, address, access, instruction.ordering);
}

void Checker::note_copy(Warp& warp, uint64_t offset, uint32_t bytes, bool pending) {
  std::vector<Cell>& cells = warp.block->shadow->shared;
  for (uint64_t i = offset / kGrain; i <= (offset + bytes - 1) / kGrain; ++i) cells[i].copy_pending = pending;
}

void Checker::check_writer(const Cell& cell, const Actor& actor, uint64_t address, Access access,
                           const char* space) {
  if (cell.writer_block == 0 || (is_strong(access) && cell.is_strong_write)) return;
  if (actor.is_after(cell.writer_block, cell.writer, cell.write_time)) return;
  actor.race(address, space, writes(access) ? "two writes" : "read after a write", cell.writer_block,
             cell.writer, cell.write_pc);
}

void Checker::check_readers(const Cell& cell, const Actor& actor, uint64_t address, const char* space) {
  const auto check = [&](uint32_t block, uint32_t reader, uint32_t time, uint32_t pc) {
    if (!actor.is_after(block, reader, time)) {
      actor.race(address, space, "write after a read", block, reader, pc);
    }
  };
  if (cell.other_block != 0) check(cell.other_block, cell.other_reader, cell.other_time, cell.other_pc);
  if (cell.reader_block == 0) return;
  if (cell.readers < 0 || cell.reader_block != actor.shadow.id) {
    return check(cell.reader_block, cell.reader, cell.read_time, cell.read_pc);
  }
  const std::vector<uint32_t>& times = actor.shadow.read_tables[static_cast<size_t>(cell.readers)];
  for (uint32_t reader = 0; reader < times.size(); ++reader) {
    if (times[reader] > 0) check(cell.reader_block, reader, times[reader], cell.read_pc);
  }
}

void Checker::note_read(Cell& cell, const Actor& actor, bool is_strong) {
  if (cell.reader_block != 0 && is_strong != cell.are_strong_reads) {
    if (is_strong) return;  // plain reads race with more: they stay
    cell.reader_block = cell.other_block = 0;
  }
  cell.are_strong_reads = is_strong;
  BlockShadow& shadow = actor.shadow;
  if (cell.reader_block != shadow.id) {
    if (cell.reader_block != 0) {
      cell.other_block = cell.reader_block;
      cell.other_reader = cell.reader;
      cell.other_time = cell.read_time;
      cell.other_pc = cell.read_pc;
    }
    cell.readers = -1;
  } else if (cell.readers < 0 && !actor.is_after(shadow.id, cell.reader, cell.read_time)) {
    cell.readers = static_cast<int32_t>(shadow.read_tables.size());
    shadow.read_tables.emplace_back(shadow.threads.size(), 0)[cell.reader] = cell.read_time;
  }
  if (cell.readers >= 0) {
    shadow.read_tables[static_cast<size_t>(cell.readers)][actor.thread] = actor.state.now;
  }
  cell.reader_block = shadow.id;
  cell.reader = static_cast<uint16_t>(actor.thread);
  cell.read_time = actor.state.now;
  cell.read_pc = actor.pc();
}

void Checker::touch(Cell& cell, const Actor& actor, uint64_t address, Access access, const char* space) {
  if (cell.launch != launch_) {  // launches follow each other: nothing of an earlier one can race
    const bool initialised = cell.initialised;
    cell = Cell{};
    cell.launch = launch_;
    cell.initialised = initialised;
  }
  if (reads(access) && !cell.initialised) {
    actor.warp.fault(actor.instruction, actor.lane,
                     fmt::format("read of {} memory that nobody wrote, at {:#x}", space, address));
  }
  if (reads(access) && cell.copy_pending) {
    actor.warp.fault(actor.instruction, actor.lane,
                     fmt::format("read of a cp.async that nobody awaited, at shared {:#x}", address));
  }
  check_writer(cell, actor, address, access, space);
  if (!writes(access)) return note_read(cell, actor, is_strong(access));
  if (!(is_strong(access) && cell.are_strong_reads)) check_readers(cell, actor, address, space);
  cell.initialised = true;
  cell.is_strong_write = is_strong(access);
  cell.writer_block = actor.shadow.id;
  cell.writer = static_cast<uint16_t>(actor.thread);
  cell.write_time = actor.state.now;
  cell.write_pc = actor.pc();
  cell.reader_block = cell.other_block = 0;
  cell.readers = -1;
}

}  // namespace prospect::emulator
