#pragma once

#include <array>

#include "bench/cards/kernel_work.h"
#include "bench/cards/machine.h"

namespace prospect::bench {

/// What may bound a kernel.
inline constexpr std::array kResources = {"tensor", "special", "fp32", "integer", "fp64",
                                          "issue",  "shared",  "l2",   "memory"};

/// Clocks that each resource of a device needs for a kernel's work at its documented rate, were it alone.
struct Clocks {
  std::array<double, kResources.size()> of{};
  size_t bound() const;
  double most() const { return of[bound()]; }
};

/// A multiprocessor's part is that of the one with most blocks, blocks being alike.
Clocks predict(const KernelWork& work, const Machine& machine);

/// Warps that a multiprocessor holds at a time. Zero: it cannot run a block.
int resident_warps(int threads, int registers, int shared_bytes, const Machine& machine);

/// The seconds that a device needs at least for so much, at its documented rates: for so many bytes of its
/// memory, and for matrix products on tensor cores, or in float.
double ideal_seconds(double bytes, double flops, bool in_bf16, const Machine& machine);

}  // namespace prospect::bench
