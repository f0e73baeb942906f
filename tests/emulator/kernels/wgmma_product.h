#pragma once

namespace prospect {
struct bf16;
}

namespace prospect::emulator::planted {

/// A product with copies by the asynchronous engine and wgmma, and the mistakes that such kernels invite.
enum class WgmmaBug {
  None,
  NoFullWait,      ///< the consumers do not wait for a stage's copies
  NoEmptyWait,     ///< the producer does not wait until a stage is free
  EarlyRelease,    ///< a stage is given back while wgmma still reads it
  NoProductWait,   ///< the result is read before wgmma.wait_group
  NoProductFence,  ///< no wgmma.fence behind writes to accumulators
  TooFewBytes,     ///< a stage's barrier expects fewer bytes than its copies bring
  TooManyBytes,    ///< ... more
  NoInitFence,     ///< copies use barriers whose initialisation no fence followed
  NoProxyFence,    ///< a tile is stored by the engine without a fence behind the threads' writes
  NoStoreBarrier,  ///< ... without a barrier behind them
  NoStoreWait,     ///< the block ends before the engine has read the tile
  OneWarpIsAhead,  ///< one warp of four leaves out a product
};

/// c [m, n] = a [m, k] b [n, k]^T, all by rows; lda, ldb, ldc multiples of 8, 8 and 4.
struct WgmmaProduct {
  const bf16 *a, *b;
  float* c;
  int m, n, k;
};
void wgmma_product(const WgmmaProduct& args, WgmmaBug bug);

}  // namespace prospect::emulator::planted
