#include "train/reference_cache.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "kernels/common/check.h"

namespace prospect {

namespace {

namespace fs = std::filesystem;

constexpr const char* kExtension = ".logps";

/// What the names of an identity's files begin with.
std::string prefix_of(const Hash128& identity) {
  return "reference-" + identity.hex() + "-";
}

/// Our files in the folder, and what a run that was cut short left of them; nothing if it cannot be listed.
std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with("reference-") && name.find(kExtension) != std::string::npos) {
      paths.push_back(entry->path());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

ReferenceCache::ReferenceCache(Options options)
    : options_(std::move(options)), writable_(!options_.folder.empty()) {
  if (writable_) open_all();
}

void ReferenceCache::open_all() {
  for (const fs::path& path : files_in(options_.folder)) {
    const std::string name = path.filename().string();
    if (!name.starts_with(prefix_of(options_.identity)) || path.extension() != kExtension) continue;
    try {
      open(path);
    } catch (const Error& error) {
      if (error.code() == ExitCode::MissingInput) continue;  // another run trims the folder
      options_.warn(fmt::format("{}; its entries are computed again", error.what()));
      if (error.code() == ExitCode::BadData) remove_quietly(path);
    }
  }
}

void ReferenceCache::open(const fs::path& path) {
  files_.push_back({path, LogpFile(path, options_.identity, dtype_bytes(options_.dtype), options_.system)});
  OpenFile& file = files_.back();
  for (size_t i = 0; i < file.content.size(); ++i) places_.insert({file.content.key(i), {&file, i}});
}

bool ReferenceCache::contains(const Hash128& key) {
  if (added_.contains(key)) return true;
  bool had_one = false;
  for (auto [place, end] = places_.equal_range(key); place != end;) {
    OpenFile& file = *place->second.file;
    if (file.content.sound(place->second.index)) {
      file.used = true;
      return true;
    }
    had_one = true;
    place = places_.erase(place);
  }
  damaged_ += had_one;
  return false;
}

Tensor ReferenceCache::find(const Hash128& key, const Device& device) const {
  std::span<const std::byte> values;
  if (const auto added = added_.find(key); added != added_.end()) {
    values = added->second;
  } else {
    const auto place = places_.find(key);
    CHECK(place != places_.end(), "reference: the sequence {} was not among those planned", key.hex());
    const OpenFile& file = *place->second.file;
    if (!file.content.sound(place->second.index)) {
      fail(ExitCode::IoFailure, "{}: was changed while it was in use; start again", file.path.string());
    }
    values = file.content.values(place->second.index);
  }
  const Tensor tensor =
      Tensor::empty({std::ssize(values) / dtype_bytes(options_.dtype)}, options_.dtype, device);
  std::memcpy(tensor.bytes(), values.data(), values.size());
  return tensor;
}

void ReferenceCache::add(const Hash128& key, const Tensor& values) {
  CHECK(values.dtype() == options_.dtype, "reference: the cache holds {}, got {}", dtype_name(options_.dtype),
        dtype_name(values.dtype()));
  added_[key].assign(values.bytes(), values.bytes() + values.byte_count());
}

void ReferenceCache::prepare() {
  if (!writable_) return;
  try {
    require_writable_folder(options_.system, options_.folder);
  } catch (const Error& error) {
    go_on_in_memory(error);
  }
}

void ReferenceCache::flush() {
  if (!writable_ || added_.empty()) return;
  std::vector<LogpEntry> entries;
  for (const auto& [key, values] : added_) entries.push_back({key, values});
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  try {
    const fs::path path = new_path();
    write_logp_file(options_.system, path, options_.identity, dtype_bytes(options_.dtype), entries);
    open(path);
    files_.back().used = files_.back().own = true;
    added_.clear();
  } catch (const Error& error) {
    go_on_in_memory(error);
  }
}

void ReferenceCache::merge() {
  std::vector<LogpEntry> entries;
  std::vector<fs::path> pieces;
  for (const OpenFile& file : files_) {
    if (!file.own) continue;
    pieces.push_back(file.path);
    for (size_t i = 0; i < file.content.size(); ++i) {
      if (file.content.sound(i)) entries.push_back({file.content.key(i), file.content.values(i)});
    }
  }
  if (pieces.size() < 2) return;
  const fs::path path = new_path();
  try {
    write_logp_file(options_.system, path, options_.identity, dtype_bytes(options_.dtype), entries);
    open(path);
  } catch (const Error&) {
    return;  // the pieces hold all of it
  }
  files_.back().used = files_.back().own = true;
  // This cache has mapped the pieces, as others may have, and reads them on.
  for (const fs::path& piece : pieces) remove_quietly(piece);
}

/// A name that no other file has: by the time and the process.
fs::path ReferenceCache::new_path() const {
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  return options_.folder /
         fmt::format("{}{:x}-{:x}{}", prefix_of(options_.identity), now, ::getpid(), kExtension);
}

bool ReferenceCache::remove_quietly(const fs::path& path) const {
  try {
    remove_path(options_.system, path);
    return true;
  } catch (const Error&) {
    return false;
  }
}

void ReferenceCache::go_on_in_memory(const Error& error) {
  writable_ = false;
  options_.warn(
      fmt::format("{}; the reference's log-probabilities stay in memory, and the next run computes "
                  "them again; name another folder with --reference-cache",
                  error.what()));
}

void ReferenceCache::trim() {
  std::error_code ignored;
  for (const OpenFile& file : files_) {
    if (file.used) fs::last_write_time(file.path, fs::file_time_type::clock::now(), ignored);
  }
  if (options_.limit_bytes == 0) return;
  struct Candidate {
    fs::file_time_type time;
    fs::path path;
    int64_t bytes;
  };
  std::vector<Candidate> oldest_first;
  int64_t total = 0;
  for (const fs::path& path : files_in(options_.folder)) {
    std::error_code gone;
    const auto bytes = static_cast<int64_t>(fs::file_size(path, gone));
    const auto time = gone ? fs::file_time_type() : fs::last_write_time(path, gone);
    if (gone) continue;
    total += bytes;
    const bool ours = std::any_of(files_.begin(), files_.end(),
                                  [&](const OpenFile& file) { return file.used && file.path == path; });
    if (!ours) oldest_first.push_back({time, path, bytes});
  }
  std::sort(oldest_first.begin(), oldest_first.end(),
            [](const Candidate& a, const Candidate& b) { return a.time < b.time; });
  for (const Candidate& candidate : oldest_first) {
    if (total <= options_.limit_bytes) break;
    if (remove_quietly(candidate.path)) total -= candidate.bytes;
  }
}

}  // namespace prospect
