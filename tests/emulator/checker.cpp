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
  uint32_t thread, now;
  const History& past;

  Actor(Warp& of, const Instruction& at, int in_lane)
      : warp(of),
        instruction(at),
        lane(in_lane),
        shadow(*of.block->shadow),
        thread(static_cast<uint32_t>(of.index * kLanes + in_lane)),
        now(shadow.threads[thread].now),
        past(*shadow.threads[thread].past) {}
  explicit Actor(const Work& work)
      : warp(*work.warp),
        instruction(*work.instruction),
        lane(work.lane),
        shadow(*work.block->shadow),
        thread(work.engine),
        now(work.time),
        past(*work.past) {}

  bool is_engine(uint32_t other) const { return other >= shadow.threads.size(); }
  bool is_after(uint32_t block, uint32_t other, uint32_t time) const {
    return (block == shadow.id && other == thread && !is_engine(thread)) || past.of(block, other) >= time;
  }
  uint32_t pc() const { return static_cast<uint32_t>(&instruction - warp.block->launch.program.code.data()); }

  /// An access of another thread or engine must be before this one.
  void expect_after(uint32_t block, uint32_t other, uint32_t time, uint32_t other_pc, uint64_t address,
                    Memory memory, const char* what) const {
    if (!is_after(block, other, time)) {
      report(fmt::format("race: {} at {}", what, name(memory)), address, block, other, other_pc);
    }
    if (is_engine(thread) && !is_engine(other) && past.fenced(memory, block, other) < time) {
      report(fmt::format("missing fence.proxy.async: {}, asynchronously, at {}", what, name(memory)), address,
             block, other, other_pc);
    }
  }
  static const char* name(Memory memory) { return memory == Memory::Shared ? "shared" : "global"; }
  [[noreturn]] void report(const std::string& what, uint64_t address, uint32_t other_block, uint32_t other,
                           uint32_t other_pc) const {
    const Launch& launch = warp.block->launch;
    const Extent block = launch.grid.place(other_block - 1), place = launch.block.place(other);
    const std::string who = is_engine(other) ? std::string("asynchronously")
                                             : fmt::format("thread ({},{},{})", place.x, place.y, place.z);
    warp.fault(instruction, lane,
               fmt::format("{} address {:#x}\n  before by block ({},{},{}) {} at {}", what, address, block.x,
                           block.y, block.z, who, launch.program.where(launch.program.code[other_pc])));
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
  shadow.engines = 0;
  shadow.visitors.clear();
}

void Checker::touch_shared(const Actor& actor, Block& owner, uint32_t offset, uint32_t bytes, Access access) {
  if (owner.shadow->id != actor.shadow.id) {
    if (!actor.past.knows(owner.shadow->id)) {
      actor.warp.fault(
          actor.instruction, actor.lane,
          "shared memory of a block that may not have begun: a cluster barrier must come before");
    }
    owner.shadow->visitors[{actor.shadow.id, actor.thread}] = actor.now;
  }
  std::vector<Cell>& cells = owner.shadow->shared;
  for (uint64_t i = offset / kGrain; i <= (offset + bytes - 1) / kGrain; ++i) {
    touch(cells[i], actor, kSharedBase + i * kGrain, access, Memory::Shared);
  }
}

void Checker::touch_global(const Actor& actor, uint64_t address, uint32_t bytes, Access access) {
  const Allocation& allocation = *memory_.find(address);
  std::vector<Cell>& cells = cells_of(allocation);
  const uint64_t offset = address - allocation.base;
  for (uint64_t i = offset / kGrain; i <= (offset + bytes - 1) / kGrain; ++i) {
    touch(cells[i], actor, allocation.base + i * kGrain, access, Memory::Global);
  }
}

void Checker::end_block(const Warp& warp, const Instruction& instruction, int lane) const {
  const BlockShadow& shadow = *warp.block->shadow;
  const History& past = *shadow.threads[static_cast<size_t>(warp.index * kLanes + lane)].past;
  for (const auto& [visitor, time] : shadow.visitors) {
    if (past.of(visitor.first, visitor.second) >= time) continue;
    const Extent block = warp.block->launch.grid.place(visitor.first - 1);
    warp.fault(
        instruction, lane,
        fmt::format("the block ends while thread {} of block ({},{},{}) may still use its shared memory",
                    visitor.second, block.x, block.y, block.z));
  }
}

void Checker::shared_access(Warp& warp, const Instruction& instruction, int lane, Block& owner,
                            uint32_t offset, uint32_t bytes, Access access) {
  touch_shared(Actor(warp, instruction, lane), owner, offset, bytes, access);
  if (!is_strong(access)) return;
  const uint64_t key = 1ull << 63 | uint64_t{owner.shadow->id} << 32 | offset;
  order(warp, lane, key, access, instruction.ordering);
}

void Checker::global_access(Warp& warp, const Instruction& instruction, int lane, uint64_t address,
                            uint32_t bytes, Access access) {
  touch_global(Actor(warp, instruction, lane), address, bytes, access);
  if (is_strong(access)) order(warp, lane, address, access, instruction.ordering);
}

void Checker::mbarrier_access(Warp& warp, const Instruction& instruction, int lane, Block& owner,
                              uint32_t offset, Access access) {
  touch_shared(Actor(warp, instruction, lane), owner, offset, 8, access);
}

void Checker::shared_work(const Work& work, Block& owner, uint32_t offset, uint32_t bytes, Access access) {
  touch_shared(Actor(work), owner, offset, bytes, access);
}

void Checker::global_work(const Work& work, uint64_t address, uint32_t bytes, Access access) {
  touch_global(Actor(work), address, bytes, access);
}

void Checker::note_copy(Warp& warp, uint64_t offset, uint32_t bytes, bool pending) {
  std::vector<Cell>& cells = warp.block->shadow->shared;
  for (uint64_t i = offset / kGrain; i <= (offset + bytes - 1) / kGrain; ++i) cells[i].copy_pending = pending;
}

void Checker::check_writer(const Cell& cell, const Actor& actor, uint64_t address, Access access,
                           Memory memory) {
  if (cell.writer_block == 0 || (is_strong(access) && cell.is_strong_write)) return;
  actor.expect_after(cell.writer_block, cell.writer, cell.write_time, cell.write_pc, address, memory,
                     writes(access) ? "two writes" : "read after a write");
}

void Checker::check_readers(const Cell& cell, const Actor& actor, uint64_t address, Memory memory) {
  const auto check = [&](uint32_t block, uint32_t reader, uint32_t time, uint32_t pc) {
    actor.expect_after(block, reader, time, pc, address, memory, "write after a read");
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
    shadow.read_tables.emplace_back(shadow.threads.size() + shadow.engines, 0)[cell.reader] = cell.read_time;
  }
  if (cell.readers >= 0) {
    std::vector<uint32_t>& times = shadow.read_tables[static_cast<size_t>(cell.readers)];
    if (times.size() <= actor.thread) times.resize(actor.thread + 1);
    times[actor.thread] = actor.now;
  }
  cell.reader_block = shadow.id;
  cell.reader = static_cast<uint16_t>(actor.thread);
  cell.read_time = actor.now;
  cell.read_pc = actor.pc();
}

void Checker::touch(Cell& cell, const Actor& actor, uint64_t address, Access access, Memory memory) {
  if (cell.launch != launch_) {  // launches follow each other: nothing of an earlier one can race
    const bool initialised = cell.initialised;
    cell = Cell{};
    cell.launch = launch_;
    cell.initialised = initialised;
  }
  if (reads(access) && !cell.initialised) {
    actor.warp.fault(
        actor.instruction, actor.lane,
        fmt::format("read of {} memory that nobody wrote, at {:#x}", Actor::name(memory), address));
  }
  if (reads(access) && cell.copy_pending) {
    actor.warp.fault(actor.instruction, actor.lane,
                     fmt::format("read of a cp.async that nobody awaited, at shared {:#x}", address));
  }
  check_writer(cell, actor, address, access, memory);
  if (!writes(access)) return note_read(cell, actor, is_strong(access));
  if (!(is_strong(access) && cell.are_strong_reads)) check_readers(cell, actor, address, memory);
  cell.initialised = true;
  cell.is_strong_write = is_strong(access);
  cell.writer_block = actor.shadow.id;
  cell.writer = static_cast<uint16_t>(actor.thread);
  cell.write_time = actor.now;
  cell.write_pc = actor.pc();
  cell.reader_block = cell.other_block = 0;
  cell.readers = -1;
}

}  // namespace prospect::emulator
