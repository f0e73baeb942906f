#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace prospect::emulator {

enum class Memory : uint8_t { Shared, Global };

/// What is before a point of a launch: the time of each thread of each block up to which its accesses are
/// (a vector clock). Blocks are numbered from 1, times begin at 1; nothing of a thread that is not mentioned
/// is before. Copies share what they have in common.
class History {
 public:
  /// The last time of a thread that is before; 0: none.
  uint32_t of(uint32_t block, uint32_t thread) const;
  /// The same, of accesses to a kind of memory that a proxy fence has passed on to asynchronous engines.
  uint32_t fenced(Memory memory, uint32_t block, uint32_t thread) const;

  /// Whether anything of the block is before.
  bool knows(uint32_t block) const { return find(block) != nullptr; }

  void set(uint32_t block, uint32_t thread, uint32_t time);
  /// What is before `other` is before this too.
  void join(const History& other);
  bool covers(const History& other) const;
  /// A proxy fence: all of this is before what asynchronous engines do there from now on.
  void fence(Memory memory);

 private:
  using Times = std::shared_ptr<std::vector<uint32_t>>;
  struct Part {
    uint32_t block;
    Times times;
    std::array<Times, 2> fenced;  ///< by memory
  };

  const Part* find(uint32_t block) const;
  Part& part(uint32_t block);

  std::vector<Part> parts_;  ///< by block
};

}  // namespace prospect::emulator
