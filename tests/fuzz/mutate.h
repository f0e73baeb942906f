#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace prospect::fuzz {

/// How a file gets damaged between two computers, or by somebody who means harm.
enum class Damage { FlipBits, Truncate, SwapBlocks, Splice, Append, ZeroRange, Size };
inline constexpr int kDamages = 7;

const char* name_of(Damage damage);

/// A damaged copy, the same for the same seed. Size puts a number that is used to break things in place of
/// one that is there: of decimal digits in a text, little-endian of 4 or 8 bytes elsewhere. May equal the
/// intact text.
std::string damaged(std::string_view intact, Damage damage, uint64_t seed);

/// One to four damages, chosen by the seed.
std::string mutated(std::string_view intact, uint64_t seed);

}  // namespace prospect::fuzz
