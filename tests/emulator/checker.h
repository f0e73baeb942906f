#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "tests/emulator/memory.h"
#include "tests/emulator/warp.h"

namespace prospect::emulator {

struct Launch;

/// Finds data races and reads of what nobody wrote, by the happens-before relation (Flanagan, Freund,
/// "FastTrack", PLDI 2009): each thread of a block has a vector of clocks, which barriers and bar.warp.sync
/// join; each two bytes of memory remember who wrote and read them last. Shuffles and votes order nothing.
/// Between blocks of a launch only atomics may meet. Bytes that share two bytes count as one place.
class Checker {
 public:
  explicit Checker(DeviceMemory& memory) : memory_(memory) {}

  /// The host wrote device memory. Other addresses do not matter.
  void note_host_write(uint64_t address, size_t bytes);
  /// Called before an allocation goes.
  void forget(uint64_t base) { global_.erase(base); }

  void begin_launch() { ++launch_; }
  void begin_block(Block& block);

  // Each throws Fault.
  void shared_access(Warp& warp, const Instruction& instruction, int lane, uint64_t offset, uint32_t bytes,
                     Access access);
  void global_access(Warp& warp, const Instruction& instruction, int lane, uint64_t address, uint32_t bytes,
                     Access access);

  /// A cp.async to shared memory has been announced, or has happened.
  void note_copy(Warp& warp, uint64_t offset, uint32_t bytes, bool pending);

  using Clock = std::vector<uint32_t>;
  /// The lanes pass their clocks on to `clock`, and what they do from now on is later.
  void release(Warp& warp, LaneMask lanes, Clock& clock);
  /// What `clock` has seen is before what the lanes do from now on.
  void acquire(Warp& warp, LaneMask lanes, const Clock& clock);

  struct Cell {
    uint32_t launch = 0;
    uint32_t writer_block = 0, reader_block = 0;  ///< from 1 on; 0: nobody
    uint32_t write_clock = 0, read_clock = 0;
    uint32_t write_pc = 0, read_pc = 0;
    int32_t readers = -1;  ///< the table of clocks when several threads have read
    uint16_t writer = 0, reader = 0;
    bool initialised = false, written_by_atomic = false, read_by_blocks = false, copy_pending = false;
  };
  /// What the checker knows of a block that runs.
  struct BlockShadow {
    uint32_t id = 0;
    size_t threads = 0;
    std::vector<uint32_t> clocks;  ///< [threads, threads]
    std::vector<Cell> shared;
    std::vector<Clock> read_tables;
  };

 private:
  static constexpr uint64_t kGrain = 2;

  void touch(Cell& cell, Warp& warp, const Instruction& instruction, int lane, uint64_t address,
             Access access, const char* space);
  void check_readers(const Cell& cell, Warp& warp, const Instruction& instruction, int lane, uint64_t address,
                     const char* space);
  std::vector<Cell>& cells_of(const Allocation& allocation);

  DeviceMemory& memory_;
  std::unordered_map<uint64_t, std::vector<Cell>> global_;  ///< by the start of the allocation
  uint32_t launch_ = 0;
};

}  // namespace prospect::emulator
