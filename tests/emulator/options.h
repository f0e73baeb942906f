#pragma once

#include <cstdint>

namespace prospect::emulator {

/// Which of the warps that can run runs next. One that uses its turn up, or polls in vain, lets others go.
enum class Order {
  Forward,   ///< the first; blocks run first to last
  Reverse,   ///< the last; blocks run last to first too
  Random,    ///< any, for a few instructions, with any of its lanes; blocks in random order
  Priority,  ///< the one of highest priority; priorities are random and change rarely, so that one warp runs
             ///< far ahead of the others: finds far more races than Random does; blocks in random order
};

struct Options {
  Order order = Order::Forward;
  uint64_t seed = 1;
  int target = 90;              ///< compute capability of the device times ten: 80 or 90
  bool check = false;           ///< shadow memory: races and uninitialised reads
  bool count_requests = false;  ///< sectors and wavefronts of each memory instruction
  int resident_blocks = 1;      ///< blocks that run interleaved, in whole clusters; cooperative grids: all
  bool sample_blocks = false;   ///< run few blocks of a grid, spread evenly; cooperative grids run whole
  int multiprocessors = 4;      ///< that the device reports; few: kernels that stay resident loop over tiles
  uint64_t step_limit =
      2'000'000'000;  ///< warp instructions of one launch; beyond them it is called a livelock
};

}  // namespace prospect::emulator
