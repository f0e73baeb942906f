#include "model/tokenizer/bpe.h"

#include <bit>
#include <limits>
#include <queue>

#include "kernels/common/check.h"
#include "model/tokenizer/byte_alphabet.h"

namespace prospect::tokenization {
namespace {

// Up to here a scan for the lowest rank beats a heap.
constexpr size_t kShort = 48;
constexpr int32_t kNoRank = std::numeric_limits<int32_t>::max();

uint64_t pair_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

/// A merge that was possible when it was queued.
struct Candidate {
  int32_t rank;
  int32_t at;
  int32_t left, right;  ///< the pair; another one at this place means that the entry has expired
  int32_t id;
  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : at > other.at;
  }
};

}  // namespace

MergeTable::MergeTable(size_t merges)
    : slots_(std::bit_ceil(2 * merges + 2)), shift_(64 - std::countr_zero(slots_.size())) {}

size_t MergeTable::slot_of(uint64_t pair) const {
  return (pair * 0x9E3779B97F4A7C15u) >> shift_;
}

void MergeTable::insert(int32_t left, int32_t right, int32_t rank, int32_t id) {
  const uint64_t pair = pair_of(left, right);
  size_t slot = slot_of(pair);
  while (slots_[slot].pair != kNoPair && slots_[slot].pair != pair) slot = (slot + 1) & (slots_.size() - 1);
  slots_[slot] = {pair, rank, id};
}

const MergeTable::Merge* MergeTable::find(int32_t left, int32_t right) const {
  const uint64_t pair = pair_of(left, right);
  for (size_t slot = slot_of(pair);; slot = (slot + 1) & (slots_.size() - 1)) {
    if (slots_[slot].pair == pair) return &slots_[slot];
    if (slots_[slot].pair == kNoPair) return nullptr;
  }
}

Bpe::Bpe(const BpeDefinition& definition, const Vocabulary& vocabulary, const std::string& source)
    : fuse_unk_(definition.fuse_unk),
      merges_(definition.merges.size()),
      ignore_merges_(definition.ignore_merges) {
  for (size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    byte_ids_[byte] = vocabulary.find(character_of_byte(static_cast<uint8_t>(byte)));
  }
  if (!definition.unk_token.empty()) {
    unk_ = vocabulary.find(definition.unk_token);
    if (unk_ < 0)
      fail(ExitCode::BadData, "{}: model.unk_token: \"{}\" is no token", source, definition.unk_token);
  }
  for (size_t rank = 0; rank < definition.merges.size(); ++rank) {
    const auto& [left, right] = definition.merges[rank];
    const int32_t ids[] = {vocabulary.find(left), vocabulary.find(right), vocabulary.find(left + right)};
    if (ids[0] < 0 || ids[1] < 0 || ids[2] < 0) {
      const std::string& missing = ids[0] < 0 ? left : ids[1] < 0 ? right : left + right;
      fail(ExitCode::BadData, "{}: model.merges[{}]: \"{}\" is no token", source, rank, missing);
    }
    merges_.insert(ids[0], ids[1], static_cast<int32_t>(rank), ids[2]);
  }
  if (!ignore_merges_) return;
  for (const auto& [token, id] : definition.vocab) {
    if (auto bytes = bytes_of_text(token)) whole_.emplace(*std::move(bytes), id);
  }
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>& ids) const {
  if (ignore_merges_) {
    if (const auto found = whole_.find(std::string(piece)); found != whole_.end()) {
      ids.push_back(found->second);
      return;
    }
  }
  const size_t begin = ids.size();
  bool after_unknown = false;
  for (const char byte : piece) {
    const int32_t id = byte_ids_[static_cast<unsigned char>(byte)];
    if (id >= 0) {
      ids.push_back(id);
    } else if (unk_ >= 0 && !(fuse_unk_ && after_unknown)) {
      ids.push_back(unk_);
    }
    after_unknown = id < 0;
  }
  if (ids.size() - begin <= kShort) {
    merge_short(ids, begin);
  } else {
    merge_long(ids, begin);
  }
}

void Bpe::merge_short(std::vector<int32_t>& symbols, size_t begin) const {
  size_t count = symbols.size() - begin;
  int32_t* const id = symbols.data() + begin;
  std::array<const MergeTable::Merge*, kShort> merge;  // of symbol i with its right neighbour
  for (size_t i = 0; i + 1 < count; ++i) merge[i] = merges_.find(id[i], id[i + 1]);
  while (count > 1) {
    size_t best = 0;
    int32_t rank = kNoRank;
    for (size_t i = 0; i + 1 < count; ++i) {
      if (merge[i] != nullptr && merge[i]->rank < rank) {
        rank = merge[i]->rank;
        best = i;
      }
    }
    if (rank == kNoRank) break;
    id[best] = merge[best]->id;
    for (size_t i = best + 1; i + 1 < count; ++i) {
      id[i] = id[i + 1];
      merge[i] = merge[i + 1];
    }
    --count;
    if (best > 0) merge[best - 1] = merges_.find(id[best - 1], id[best]);
    if (best + 1 < count) merge[best] = merges_.find(id[best], id[best + 1]);
  }
  symbols.resize(begin + count);
}

void Bpe::merge_long(std::vector<int32_t>& symbols, size_t begin) const {
  constexpr int32_t kGone = -1, kNone = -1;
  const auto count = static_cast<int32_t>(symbols.size() - begin);
  int32_t* const id = symbols.data() + begin;
  std::vector<int32_t> previous(static_cast<size_t>(count)), next(static_cast<size_t>(count));
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto push = [&](int32_t left, int32_t right) {
    if (const auto* merge = merges_.find(id[left], id[right])) {
      queue.push({merge->rank, left, id[left], id[right], merge->id});
    }
  };
  for (int32_t i = 0; i < count; ++i) {
    previous[static_cast<size_t>(i)] = i - 1;
    next[static_cast<size_t>(i)] = i + 1 < count ? i + 1 : kNone;
    if (i + 1 < count) push(i, i + 1);
  }
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    const int32_t right = next[static_cast<size_t>(top.at)];
    if (id[top.at] != top.left || right == kNone || id[right] != top.right) continue;
    const int32_t after = next[static_cast<size_t>(right)], before = previous[static_cast<size_t>(top.at)];
    id[top.at] = top.id;
    id[right] = kGone;
    next[static_cast<size_t>(top.at)] = after;
    if (after != kNone) {
      previous[static_cast<size_t>(after)] = top.at;
      push(top.at, after);
    }
    if (before != kNone) push(before, top.at);
  }
  size_t kept = begin;
  for (int32_t i = 0; i != kNone; i = next[static_cast<size_t>(i)]) symbols[kept++] = id[i];
  symbols.resize(kept);
}

}  // namespace prospect::tokenization
