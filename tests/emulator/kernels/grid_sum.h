#pragma once

#include <cstdint>

namespace prospect::emulator::planted {

/// Sums over a grid, with the mistakes that such kernels invite.
enum class GridSumBug {
  None,
  NoGridBarrier,      ///< blocks do not wait for each other's parts
  NoFence,            ///< a block counts itself as done before its part is visible
  NoFenceBehind,      ///< the last block reads parts without having acquired them
  NoAtomic,           ///< blocks add to one place with plain reads and writes
  NoBarrierForReuse,  ///< the buffer of a block's partial sums is written again while it may still be read
  EarlyBarrier,       ///< threads without elements leave before a barrier of the others
  BehindTheEnd,       ///< reads one element behind the input
};

inline constexpr unsigned kGridSumBlocks = 6, kGridSumThreads = 128;

/// total[b] = the sum of x, for each of kGridSumBlocks blocks, which wait for each other. parts
/// [kGridSumBlocks] is scratch.
void cooperative_sum(const float* x, int count, float* parts, float* total, GridSumBug bug);

/// total[0] = the sum of x, by the block that comes last. done [1]: zero, before and behind.
void last_block_sum(const float* x, int count, float* parts, unsigned* done, float* total, GridSumBug bug);

}  // namespace prospect::emulator::planted
