#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace prospect::emulator {

/// A copy of the asynchronous engine from shared to global memory, or a reduction into it: it reads at some
/// time and writes at a later one.
class BulkCopy {
 public:
  struct Piece {
    std::byte* to;
    const std::byte* from;
    uint32_t bytes;
  };
  /// Combines what stands at `to` with as many bytes from shared memory; null: overwrites it.
  using Combine = void (*)(std::byte* to, const std::byte* from, uint32_t bytes);

  BulkCopy(std::vector<Piece> pieces, Combine combine) : pieces_(std::move(pieces)), combine_(combine) {}
  bool has_read() const { return has_read_; }
  bool has_written() const { return has_written_; }
  void read();
  void write();

 private:
  std::vector<Piece> pieces_;
  Combine combine_;
  std::vector<std::byte> data_;
  bool has_read_ = false, has_written_ = false;
};

/// The bulk copies of a thread.
struct BulkQueue {
  using Group = std::vector<std::shared_ptr<BulkCopy>>;
  Group open;
  std::deque<Group> groups;         ///< those that are not known to have written
  uint32_t committed = 0;           ///< groups
  uint32_t reader = 0, writer = 0;  ///< engines of the checker

  /// Whether any has yet to read its source.
  bool reads() const;
};

}  // namespace prospect::emulator
