#pragma once

#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
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
  /// The block's last thread exits: other blocks must be done with its shared memory. Throws Fault.
  void end_block(const Warp& warp, const Instruction& instruction, int lane) const;

  // Each throws Fault. owner: the block that has the shared memory.
  void shared_access(Warp& warp, const Instruction& instruction, int lane, Block& owner, uint32_t offset,
                     uint32_t bytes, Access access);
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

  /// What an asynchronous engine does for a thread: a copy, or a product of tensor cores. Engines count as
  /// further threads of a block; `time` is when the work will be complete.
  struct Work {
    Warp* warp = nullptr;
    const Instruction* instruction = nullptr;
    int lane = 0;
    Block* block = nullptr;  ///< that has the engine
    uint32_t engine = 0, time = 0;
    std::shared_ptr<const History> past;
  };
  uint32_t add_engine(Block& block);
  /// The lane asks for work: what it has done and seen is before it.
  Work begin_work(Warp& warp, const Instruction& instruction, int lane, Block& block, uint32_t engine,
                  uint32_t time);
  // Each throws Fault, also where a proxy fence is missing.
  void shared_work(const Work& work, Block& owner, uint32_t offset, uint32_t bytes, Access access);
  void global_work(const Work& work, uint64_t address, uint32_t bytes, Access access);
  /// The lanes know that the engine's work up to `time` is complete.
  void learn(Warp& warp, LaneMask lanes, const Block& block, uint32_t engine, uint32_t time);
  /// fence.proxy.async: what the lanes have done and seen in that memory is before what engines do from now
  /// on.
  void proxy_fence(Warp& warp, LaneMask lanes, Memory memory);
  /// An operation on an mbarrier object; what it orders is told by release() and acquire().
  void mbarrier_access(Warp& warp, const Instruction& instruction, int lane, Block& owner, uint32_t offset,
                       Access access);

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
    uint32_t engines = 0;
    /// When threads of other blocks last touched its shared memory, by block and thread.
    std::map<std::pair<uint32_t, uint32_t>, uint32_t> visitors;
    std::vector<Cell> shared;
    std::vector<std::vector<uint32_t>> read_tables;  ///< times of reads, by thread
  };

 private:
  static constexpr uint64_t kGrain = 2;
  struct Actor;

  void touch_shared(const Actor& actor, Block& owner, uint32_t offset, uint32_t bytes, Access access);
  void touch_global(const Actor& actor, uint64_t address, uint32_t bytes, Access access);
  void touch(Cell& cell, const Actor& actor, uint64_t address, Access access, Memory memory);
  void check_writer(const Cell& cell, const Actor& actor, uint64_t address, Access access, Memory memory);
  void check_readers(const Cell& cell, const Actor& actor, uint64_t address, Memory memory);
  void note_read(Cell& cell, const Actor& actor, bool is_strong);
  std::vector<Cell>& cells_of(const Allocation& allocation);

  DeviceMemory& memory_;
  std::unordered_map<uint64_t, std::vector<Cell>> global_;  ///< by the start of the allocation
  std::unordered_map<uint64_t, std::shared_ptr<const History>> published_;  ///< by the keys of order()
  uint32_t launch_ = 0;
};

}  // namespace prospect::emulator
