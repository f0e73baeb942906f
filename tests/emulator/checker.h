#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "tests/emulator/history.h"
#include "tests/emulator/memory.h"
#include "tests/emulator/warp.h"

namespace prospect::emulator {

struct Launch;

/// Finds data races and reads of what nobody wrote, by the happens-before relation (Flanagan, Freund,
/// "FastTrack", PLDI 2009): each thread has a history, which barriers and bar.warp.sync join; each two bytes
/// of memory remember who wrote and read them last. Shuffles and votes order nothing. Atomics, volatile
/// accesses and those with an order may meet without a race; they order other accesses as the memory model of
/// PTX says: a release (or a fence, then a write) that an acquire (or a read, then a fence) reads from.
/// Bytes that share two bytes count as one place. Of readers in other blocks the last one is remembered.
class Checker {
 public:
  explicit Checker(DeviceMemory& memory) : memory_(memory) {}

  /// The host wrote device memory. Other addresses do not matter.
  void note_host_write(uint64_t address, size_t bytes);
  /// Called before an allocation goes.
  void forget(uint64_t base) { global_.erase(base); }

  void begin_launch();
  void begin_block(Block& block);

  // Each throws Fault.
  void shared_access(Warp& warp, const Instruction& instruction, int lane, uint64_t offset, uint32_t bytes,
                     Access access);
  void global_access(Warp& warp, const Instruction& instruction, int lane, uint64_t address, uint32_t bytes,
                     Access access);

  /// A cp.async to shared memory has been announced, or has happened.
  void note_copy(Warp& warp, uint64_t offset, uint32_t bytes, bool pending);

  /// What the lanes have done and seen is added to `history`; what they do from now on is later.
  void release(Warp& warp, LaneMask lanes, History& history);
  /// What is in `history` is before what the lanes do from now on.
  void acquire(Warp& warp, LaneMask lanes, const History& history);
  /// fence.acq_rel or stronger, of a scope beyond the block.
  void fence(Warp& warp, LaneMask lanes);
  /// An atomic, or a read or write with an order, at a place that `key` tells from others.
  void order(Warp& warp, int lane, uint64_t key, Access access, const Ordering& ordering);

  struct Cell {
    uint32_t launch = 0;
    uint32_t writer_block = 0, reader_block = 0, other_block = 0;  ///< from 1 on; 0: nobody
    uint32_t write_time = 0, read_time = 0, other_time = 0;
    uint32_t write_pc = 0, read_pc = 0, other_pc = 0;
    int32_t readers = -1;  ///< in the tables of the reader's block, when several of its threads have read
    uint16_t writer = 0, reader = 0, other_reader = 0;  ///< other: in another block than the last reader
    bool initialised = false, is_strong_write = false, are_strong_reads = false, copy_pending = false;
  };
  struct Thread {
    std::shared_ptr<const History> past;  ///< what is before, other than its own
    uint32_t now = 1;
    std::shared_ptr<const History> released;  ///< before its last fence: what its relaxed writes publish
    std::shared_ptr<const History> pending;   ///< what its relaxed reads have found: before its next fence
  };
  /// What the checker knows of a block that runs.
  struct BlockShadow {
    uint32_t id = 0;
    std::vector<Thread> threads;
    std::vector<Cell> shared;
    std::vector<std::vector<uint32_t>> read_tables;  ///< times of reads, by thread
  };

 private:
  static constexpr uint64_t kGrain = 2;
  struct Actor;

  void touch(Cell& cell, const Actor& actor, uint64_t address, Access access, const char* space);
  void check_writer(const Cell& cell, const Actor& actor, uint64_t address, Access access, const char* space);
  void check_readers(const Cell& cell, const Actor& actor, uint64_t address, const char* space);
  void note_read(Cell& cell, const Actor& actor, bool is_strong);
  std::vector<Cell>& cells_of(const Allocation& allocation);

  DeviceMemory& memory_;
  std::unordered_map<uint64_t, std::vector<Cell>> global_;  ///< by the start of the allocation
  std::unordered_map<uint64_t, std::shared_ptr<const History>> published_;  ///< by the keys of order()
  uint32_t launch_ = 0;
};

}  // namespace prospect::emulator
