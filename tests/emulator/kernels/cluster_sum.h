#pragma once

namespace prospect::emulator::planted {

/// A sum over a cluster through shared memory of each other, and the mistakes that such kernels invite.
enum class ClusterSumBug {
  None,
  NoFirstBarrier,   ///< a block writes to another one that may not have begun
  NoSecondBarrier,  ///< the first block reads before all have written
  NoLastBarrier,    ///< a block ends while the first one reads its shared memory
};

inline constexpr unsigned kClusterSumBlocks = 4, kClusterSumThreads = 64;

/// total[c] = the sum of kClusterSumBlocks * kClusterSumThreads values from x on, for each of `clusters`.
void cluster_sum(const float* x, unsigned clusters, float* total, ClusterSumBug bug);

}  // namespace prospect::emulator::planted
