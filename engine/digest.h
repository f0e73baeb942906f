#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace prospect {

/// 128 bits that tell two contents apart.
struct Hash128 {
  uint64_t high = 0, low = 0;
  auto operator<=>(const Hash128&) const = default;
  /// 32 hex digits.
  std::string hex() const;
};

/// For unordered containers.
struct Hash128Hash {
  size_t operator()(const Hash128& hash) const { return hash.low; }
};

/// XXH3 of bytes: it finds what an accident changed, not what an attacker did.
Hash128 hash128(std::span<const std::byte> bytes);
uint64_t hash64(std::span<const std::byte> bytes);

/// The hash of a list of parts, in order.
class Digest {
 public:
  Digest();
  /// A part: its length counts, so that ("ab", "c") and ("a", "bc") differ.
  Digest& add(std::span<const std::byte> part);
  Digest& add(std::string_view part) { return add(std::as_bytes(std::span(part))); }
  Hash128 value() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  ///< copies add to one list
};

}  // namespace prospect
