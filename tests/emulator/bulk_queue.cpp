#include "tests/emulator/bulk_queue.h"

#include <algorithm>
#include <cstring>

namespace prospect::emulator {

void BulkCopy::read() {
  if (has_read_) return;
  has_read_ = true;
  for (const Piece& piece : pieces_) data_.insert(data_.end(), piece.from, piece.from + piece.bytes);
}

void BulkCopy::write() {
  if (has_written_) return;
  read();
  has_written_ = true;
  const std::byte* from = data_.data();
  for (const Piece& piece : pieces_) {
    if (combine_ == nullptr) {
      std::memcpy(piece.to, from, piece.bytes);
    } else {
      combine_(piece.to, from, piece.bytes);
    }
    from += piece.bytes;
  }
}

bool BulkQueue::reads() const {
  const auto reads = [](const std::shared_ptr<BulkCopy>& copy) { return !copy->has_read(); };
  return std::any_of(open.begin(), open.end(), reads) ||
         std::any_of(groups.begin(), groups.end(),
                     [&](const Group& group) { return std::any_of(group.begin(), group.end(), reads); });
}

}  // namespace prospect::emulator
