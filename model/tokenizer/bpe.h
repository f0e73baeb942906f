#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/tokenizer/definition.h"
#include "model/tokenizer/vocabulary.h"

namespace prospect::tokenization {

/// The merge of two neighbouring ids: hash table with open addressing, one cache line a look-up.
class MergeTable {
 public:
  struct Merge {
    uint64_t pair = kNoPair;
    int32_t rank = 0;
    int32_t id = 0;  ///< of the merged token
  };
  explicit MergeTable(size_t merges);
  /// A pair given twice keeps the later rank.
  void insert(int32_t left, int32_t right, int32_t rank, int32_t id);
  /// nullptr where the pair does not merge.
  const Merge* find(int32_t left, int32_t right) const;

 private:
  static constexpr uint64_t kNoPair = ~uint64_t{0};
  size_t slot_of(uint64_t pair) const;
  std::vector<Merge> slots_;
  int shift_;
};

/// Byte-pair encoding: of all neighbours, the pair of lowest rank merges first, from the left.
/// Source: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", algorithm 1.
class Bpe {
 public:
  /// Throws: Error(BadData) for a merge that names a text that is no token.
  Bpe(const BpeDefinition& definition, const Vocabulary& vocabulary, const std::string& source);

  /// Appends the ids of one piece, given as bytes. A byte without a token becomes the unknown token, or
  /// disappears where there is none.
  void encode(std::string_view piece, std::vector<int32_t>& ids) const;

 private:
  void merge_short(std::vector<int32_t>& symbols, size_t begin) const;
  void merge_long(std::vector<int32_t>& symbols, size_t begin) const;

  std::array<int32_t, 256> byte_ids_;  ///< -1: no token
  int32_t unk_ = -1;
  bool fuse_unk_;
  MergeTable merges_;
  std::unordered_map<std::string, int32_t> whole_;  ///< bytes of every token, for ignore_merges
  bool ignore_merges_;
};

}  // namespace prospect::tokenization
