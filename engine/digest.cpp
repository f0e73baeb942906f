#include "engine/digest.h"

#include <fmt/core.h>
#include <xxhash.h>

namespace prospect {

std::string Hash128::hex() const {
  return fmt::format("{:016x}{:016x}", high, low);
}

Hash128 hash128(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

uint64_t hash64(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

struct Digest::State {
  XXH3_state_t* xxh = XXH3_createState();
  State() { XXH3_128bits_reset(xxh); }
  ~State() { XXH3_freeState(xxh); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Digest::Digest() : state_(std::make_shared<State>()) {}

Digest& Digest::add(std::span<const std::byte> part) {
  const uint64_t length = part.size();
  XXH3_128bits_update(state_->xxh, &length, sizeof(length));
  XXH3_128bits_update(state_->xxh, part.data(), part.size());
  return *this;
}

Hash128 Digest::value() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->xxh);
  return {hash.high64, hash.low64};
}

}  // namespace prospect
