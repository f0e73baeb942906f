#pragma once

#include <deque>
#include <filesystem>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "train/logp_file.h"

namespace prospect {

/// Log-probabilities by the hash of their sequences, that outlive a run. Runs share a folder without locks:
/// each puts what it adds in files of its own, and files never change. Whatever is wrong with the folder
/// costs time only: an entry that is damaged counts as absent, and what cannot be written stays in memory.
class ReferenceCache {
 public:
  struct Options {
    std::filesystem::path folder{};  ///< made when there is something to write; empty: memory only
    Hash128 identity{};              ///< of all that values depend on besides the tokens
    DType dtype = DType::F32;        ///< of the values
    int64_t limit_bytes = 0;         ///< for trim(); 0: none
    std::function<void(const std::string&)> warn{};
    FileSystem system{};
  };

  /// Reads the tables of the files of this identity. Removes those that are damaged.
  explicit ReferenceCache(Options options);

  /// Whether the entry is there. Verifies it; one that is damaged is forgotten.
  bool contains(const Hash128& key);
  /// A copy of the entry. Requires: contains(key) was true. Throws: Error(IoFailure) if it was changed since.
  Tensor find(const Hash128& key, const Device& device) const;
  /// Requires: values of the cache's dtype, and no such entry yet.
  void add(const Hash128& key, const Tensor& values);
  /// Makes the folder and tries to write there, before work is done whose results are to be kept.
  void prepare();
  /// Puts what was added since the last time in a file. Where that fails, or prepare() did, it warns, once,
  /// and goes on in memory.
  void flush();
  /// Puts what this cache flushed in pieces into one file.
  void merge();
  /// Deletes files that no run has used for longest, of any identity, until those left take limit_bytes;
  /// never those that this run uses.
  void trim();

  /// Entries that were forgotten since no sound copy of them was left.
  int64_t damaged() const { return damaged_; }
  /// Whether what was flushed lies in the folder.
  bool kept() const { return writable_; }

 private:
  struct OpenFile {
    std::filesystem::path path;
    LogpFile content;
    bool used = false;  ///< an entry was asked for
    bool own = false;   ///< this cache wrote it
  };
  struct Place {
    OpenFile* file;
    size_t index;
  };

  void open_all();
  void open(const std::filesystem::path& path);
  std::filesystem::path new_path() const;
  bool remove_quietly(const std::filesystem::path& path) const;
  void go_on_in_memory(const Error& error);

  const Options options_;
  bool writable_;
  int64_t damaged_ = 0;
  std::deque<OpenFile> files_;
  std::unordered_multimap<Hash128, Place, Hash128Hash> places_;
  std::unordered_map<Hash128, std::vector<std::byte>, Hash128Hash> added_;  ///< in memory only, so far
};

}  // namespace prospect
