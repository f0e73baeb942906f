#pragma once

#include <cstdint>
#include <span>

/// Kernels around single instructions and wrappers. Words go in and come out as they are; `in` and `out` are
/// device memory, `out` holds zeros before.
namespace prospect::emulator::golden {

/// What the words that go in stand for; made at random from a seed.
enum class Operands {
  Bits,       ///< any
  Floats,     ///< of all sizes, and zeros, infinities, NaNs, subnormal numbers
  Positive,   ///< the same without negative ones
  Angles,     ///< in [-pi, pi]
  Units,      ///< floats in [-1, 1]
  Bf16Pairs,  ///< two bf16 in [-1, 1] a word
  Doubles,    ///< two words each
  Words,      ///< small numbers: lanes, counts
};

/// How close the emulator must come to the device.
enum class Agreement {
  Bits,
  Numbers,   ///< the same bits, or both NaN
  Relative,  ///< floats within `amount` of each other's size, or both not normal or NaN
  Absolute,  ///< floats within `amount`
};
struct Tolerance {
  Agreement agreement = Agreement::Bits;
  double amount = 0;
  double least = 0;  ///< Relative: floats this close agree whatever their size
};

inline constexpr int kThreads = 128;  ///< of kernels of one instruction

struct Launcher {
  const char* name;
  Operands operands;
  int words_in, words_out;  ///< in all
  Tolerance tolerance;
  void (*launch)(const uint32_t* in, uint32_t* out);
};

/// One instruction in kThreads threads: word i of thread t is in[i kThreads + t], of up to four; it makes
/// out[t] and, of 64 bits, out[kThreads + t]. Capability 8.0.
std::span<const Launcher> instructions();
/// Instructions in which the lanes of a warp meet, as those above.
std::span<const Launcher> warp_instructions();
/// Copies, matrix loads and products that need shared memory. Capability 8.0.
std::span<const Launcher> block_instructions();
/// What capability 9.0a added, without tensor maps.
std::span<const Launcher> hopper_instructions();
/// wgmma. Two products of 64 x 16 by 16 x n, the second one added to the first. `in` is the image of shared
/// memory, a and b behind it, in panels of 128-byte rows (wgmma.cuh), of which the first product takes
/// columns 0-15, or rows 0-15 where transposed, the second one those that follow; with a in registers, before
/// it [2, kThreads, 4] words of a.
struct WgmmaLauncher : Launcher {
  int columns;
  bool a_in_registers, a_transposed, b_transposed;
};
std::span<const WgmmaLauncher> wgmma_instructions();

}  // namespace prospect::emulator::golden
