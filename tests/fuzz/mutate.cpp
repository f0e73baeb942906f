#include "tests/fuzz/mutate.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <random>
#include <vector>

namespace prospect::fuzz {

namespace {

using Random = std::mt19937_64;

/// In [0, count); 0 for none.
size_t below(Random& random, size_t count) {
  return count == 0 ? 0 : random() % count;
}

/// Where a block begins and how long it is; short ones are the likeliest.
struct Block {
  size_t begin, size;
};
Block some_block(Random& random, size_t total) {
  const size_t begin = below(random, total);
  const size_t most = std::min(total - begin, size_t{1} << below(random, 13));
  return {begin, total == 0 ? 0 : 1 + below(random, most)};
}

constexpr std::array<uint64_t, 14> kSizes = {0,          1,          7,          255,
                                             65536,      0x7fffffff, 0x80000000, 0xffffffff,
                                             1ull << 40, 1ull << 61, 1ull << 62, 0x7fffffffffffffff,
                                             1ull << 63, ~0ull};

void flip_bits(std::string& text, Random& random) {
  if (text.empty()) return;
  for (size_t flips = 1 + below(random, 4); flips > 0; --flips) {
    char& c = text[below(random, text.size())];
    c = static_cast<char>(c ^ (1 << below(random, 8)));
  }
}

/// Exchanges two blocks of one size.
void swap_blocks(std::string& text, Random& random) {
  const Block block = some_block(random, text.size() / 2);
  const size_t other =
      block.begin + block.size + below(random, text.size() - 2 * block.size - block.begin + 1);
  std::swap_ranges(text.begin() + static_cast<std::ptrdiff_t>(block.begin),
                   text.begin() + static_cast<std::ptrdiff_t>(block.begin + block.size),
                   text.begin() + static_cast<std::ptrdiff_t>(other));
}

/// A block comes once more, elsewhere, or is taken out.
void splice(std::string& text, Random& random) {
  const Block block = some_block(random, text.size());
  const std::string copy = text.substr(block.begin, block.size);
  if (below(random, 3) == 0) {
    text.erase(block.begin, block.size);
  } else {
    text.insert(below(random, text.size() + 1), copy);
  }
}

void append(std::string& text, Random& random) {
  for (size_t count = 1 + below(random, 64); count > 0; --count) text += static_cast<char>(random());
}

void zero_range(std::string& text, Random& random) {
  const Block block = some_block(random, text.size());
  std::fill_n(text.begin() + static_cast<std::ptrdiff_t>(block.begin), block.size, '\0');
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Replaces the digits around a random one; false where there is none.
bool replace_decimal(std::string& text, Random& random) {
  const size_t start = below(random, text.size());
  const auto found = std::find_if(text.begin() + static_cast<std::ptrdiff_t>(start), text.end(), is_digit);
  if (found == text.end()) return false;
  auto end = std::find_if_not(found, text.end(), is_digit);
  std::string number = std::to_string(kSizes[below(random, kSizes.size())]);
  if (below(random, 4) == 0) number.insert(0, 1, '-');
  text.replace(found, end, number);
  return true;
}

void replace_binary(std::string& text, Random& random) {
  const uint64_t size = kSizes[below(random, kSizes.size())];
  const size_t bytes = below(random, 2) == 0 ? 4 : 8;
  if (text.size() < bytes) return;
  // Fields tend to lie in the first part of a file.
  const size_t range = below(random, 2) == 0 ? std::min<size_t>(text.size(), 256) : text.size();
  std::memcpy(text.data() + below(random, std::max<size_t>(range, bytes) - bytes + 1), &size, bytes);
}

void replace_size(std::string& text, Random& random) {
  const bool is_text = std::none_of(text.begin(), text.end(), [](char c) { return c == '\0'; });
  if (text.empty()) return;
  if ((is_text || below(random, 2) == 0) && replace_decimal(text, random)) return;
  replace_binary(text, random);
}

}  // namespace

const char* name_of(Damage damage) {
  constexpr std::array<const char*, kDamages> kNames = {
      "flipped bits", "truncation", "swapped blocks", "splice", "appended bytes", "zeroed range", "size"};
  return kNames[static_cast<size_t>(damage)];
}

std::string damaged(std::string_view intact, Damage damage, uint64_t seed) {
  std::string text(intact);
  Random random(seed);
  switch (damage) {
    case Damage::FlipBits:
      flip_bits(text, random);
      break;
    case Damage::Truncate:
      text.resize(below(random, text.size()));
      break;
    case Damage::SwapBlocks:
      swap_blocks(text, random);
      break;
    case Damage::Splice:
      splice(text, random);
      break;
    case Damage::Append:
      append(text, random);
      break;
    case Damage::ZeroRange:
      zero_range(text, random);
      break;
    case Damage::Size:
      replace_size(text, random);
      break;
  }
  return text;
}

std::string mutated(std::string_view intact, uint64_t seed) {
  Random random(seed);
  std::string text(intact);
  for (size_t count = 1 + below(random, 4); count > 0; --count) {
    text = damaged(text, static_cast<Damage>(below(random, kDamages)), random());
  }
  return text;
}

}  // namespace prospect::fuzz
