#include "train/checkpoint.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>

#include "engine/one_line.h"
#include "kernels/common/check.h"
#include "train/output_folder.h"

namespace prospect {

namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "checkpoints hold little-endian values");

constexpr const char* kManifestName = "manifest.json";
constexpr const char* kStateName = "state.json";
constexpr int64_t kManifestLimitBytes = 1 << 20;
constexpr std::string_view kPrefix = "step-";

std::string folder_name(int64_t step) {
  return fmt::format("{}{:08}", kPrefix, step);
}

std::string file_name(const NamedTensor& tensor) {
  return tensor.name + ".bin";
}

std::span<const std::byte> bytes_of(const Tensor& tensor) {
  return {tensor.bytes(), static_cast<size_t>(tensor.byte_count())};
}

/// -1 for a name that save_checkpoint() does not give.
int64_t step_of(const std::string& name) {
  if (!name.starts_with(kPrefix) || name.size() > kPrefix.size() + 18) return -1;
  int64_t step = 0;
  for (const char digit : name.substr(kPrefix.size())) {
    if (digit < '0' || digit > '9') return -1;
    step = 10 * step + (digit - '0');
  }
  return folder_name(step) == name ? step : -1;
}

/// What stands in the folder, by name; nothing if there is no such folder.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    paths.push_back(entry->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    fail(ExitCode::IoFailure, "{}: cannot list: {}", folder.string(), error.message());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// Steps of the checkpoints in the folder, newest first.
std::vector<int64_t> steps_in(const fs::path& folder) {
  std::vector<int64_t> steps;
  for (const fs::path& path : entries_of(folder)) {
    const int64_t step = step_of(path.filename().string());
    if (step >= 0) steps.push_back(step);
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

ManifestFile write_file(const FileSystem& system, const fs::path& folder, const std::string& name,
                        std::span<const std::byte> bytes) {
  AtomicFile file(system, folder / name);
  file.write(bytes);
  file.commit();
  return {.name = name, .bytes = std::ssize(bytes), .checksum = checksum(bytes), .dtype = {}, .shape = {}};
}

void remove_oldest(const FileSystem& system, const fs::path& folder, int64_t newest, int64_t keep) {
  for (const int64_t step : steps_in(folder)) {
    if (step > newest || keep-- > 0) continue;
    // Renamed first: half a checkpoint never has a checkpoint's name.
    const fs::path path = folder / folder_name(step), doomed = folder / (folder_name(step) + ".partial");
    rename_path(system, path, doomed);
    remove_path(system, doomed);
  }
}

}  // namespace

void save_checkpoint(const FileSystem& system, const fs::path& folder, int64_t step, std::string_view state,
                     std::span<const NamedTensor> tensors, int64_t keep) {
  CHECK(step >= 0 && keep > 0, "checkpoint: step {}, keep {}", step, keep);
  write_folder(system, folder / folder_name(step), [&](const fs::path& temporary) {
    Manifest manifest{.step = step, .files = {}};
    manifest.files.push_back(write_file(system, temporary, kStateName, std::as_bytes(std::span(state))));
    for (const NamedTensor& named : tensors) {
      ManifestFile file = write_file(system, temporary, file_name(named), bytes_of(named.tensor));
      file.dtype = dtype_name(named.tensor.dtype());
      file.shape = named.tensor.shape();
      manifest.files.push_back(std::move(file));
    }
    write_atomically(system, temporary / kManifestName, manifest.to_text());
  });
  remove_oldest(system, folder, step, keep);
}

Checkpoint::Checkpoint(const fs::path& path, const FileSystem& system)
    : path_(path.has_filename() ? path : path.parent_path()) {
  const fs::path manifest_path = path_ / kManifestName;
  manifest_ =
      Manifest::from_text(read_text(manifest_path, kManifestLimitBytes, system), manifest_path.string());
  if (path_.filename() != folder_name(manifest_.step)) {
    fail(ExitCode::BadData, "{} step: is {}, the folder has another", manifest_path.string(), manifest_.step);
  }
  std::set<std::string> expected{kManifestName};
  for (const ManifestFile& file : manifest_.files) expected.insert(file.name);
  for (const fs::path& entry : entries_of(path_)) {
    if (expected.contains(entry.filename().string())) continue;
    fail(ExitCode::BadData, "{}: is not a part of this checkpoint", entry.string());
  }
  for (const ManifestFile& file : manifest_.files) {
    const MappedFile& content = files_.emplace_back(path_ / file.name, system);
    const auto bytes = content.bytes();
    if (std::ssize(bytes) != file.bytes) {
      fail(ExitCode::BadData, "{}: has {} bytes, the manifest says {}", (path_ / file.name).string(),
           bytes.size(), file.bytes);
    }
    if (checksum(bytes) != file.checksum) {
      fail(ExitCode::BadData, "{}: its checksum is not the manifest's", (path_ / file.name).string());
    }
  }
  find(kStateName);
}

size_t Checkpoint::find(const std::string& name) const {
  for (size_t i = 0; i < manifest_.files.size(); ++i) {
    if (manifest_.files[i].name == name) return i;
  }
  fail(ExitCode::BadData, "{}: holds no {}", path_.string(), name);
}

std::string_view Checkpoint::state() const {
  return files_[find(kStateName)].text();
}

fs::path Checkpoint::state_path() const {
  return path_ / kStateName;
}

void Checkpoint::load(std::span<const NamedTensor> tensors) const {
  std::vector<size_t> sources;
  for (const NamedTensor& named : tensors) {
    const ManifestFile& file = manifest_.files[sources.emplace_back(find(file_name(named)))];
    const Tensor& tensor = named.tensor;
    if (file.dtype != dtype_name(tensor.dtype()) || file.shape != tensor.shape() ||
        file.bytes != tensor.byte_count()) {
      fail(ExitCode::BadData, "{} {}: holds {} {}, this run needs {} {}", path_.string(), named.name,
           file.dtype, to_string(file.shape), dtype_name(tensor.dtype()), to_string(tensor.shape()));
    }
  }
  if (tensors.size() + 1 != manifest_.files.size()) {
    fail(ExitCode::BadData, "{}: holds {} tensors, this run has {}", path_.string(),
         manifest_.files.size() - 1, tensors.size());
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto bytes = files_[sources[i]].bytes();
    if (!bytes.empty()) std::memcpy(tensors[i].tensor.bytes(), bytes.data(), bytes.size());
  }
}

std::optional<Checkpoint> latest_checkpoint(const FileSystem& system, const fs::path& folder,
                                            const std::function<void(const std::string&)>& report) {
  std::optional<Error> unreadable;
  for (const int64_t step : steps_in(folder)) {
    try {
      return std::optional<Checkpoint>(std::in_place, folder / folder_name(step), system);
    } catch (const Error& error) {
      report(one_line(fmt::format("{}: passed over: {}", folder_name(step), error.what())));
      if (error.code() == ExitCode::IoFailure && !unreadable) unreadable = error;
    }
  }
  if (unreadable) throw *unreadable;
  return std::nullopt;
}

void clean_checkpoints(const FileSystem& system, const fs::path& folder) {
  for (const fs::path& path : entries_of(folder)) {
    const std::string extension = path.extension().string();
    const fs::path original = folder / path.stem();
    if (step_of(original.filename().string()) < 0) continue;
    if (extension == ".replaced" && !fs::exists(original)) {
      rename_path(system, path, original);
    } else if (extension == ".replaced" || extension == ".partial") {
      remove_path(system, path);
    }
  }
}

}  // namespace prospect
