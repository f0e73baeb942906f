#include "train/output_folder.h"

#include "engine/files.h"
#include "kernels/common/check.h"

namespace prospect {

namespace {

void check(const std::error_code& error, const std::filesystem::path& path, const char* what) {
  if (error) fail(ExitCode::IoFailure, "{}: {}: {}", path.string(), what, error.message());
}

/// Removes the folder unless it has been renamed away.
struct Cleanup {
  std::filesystem::path folder;
  ~Cleanup() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
};

}  // namespace

void write_folder(const std::filesystem::path& folder,
                  const std::function<void(const std::filesystem::path&)>& fill) {
  namespace fs = std::filesystem;
  // "run/model/" and "run/model" are one folder.
  const fs::path target = folder.has_filename() ? folder : folder.parent_path();
  fs::path temporary = target, replaced = target;
  temporary += ".partial";
  replaced += ".replaced";
  std::error_code error;
  fs::remove_all(temporary, error);
  check(error, temporary, "cannot remove what an interrupted run left");
  fs::create_directories(temporary, error);
  check(error, target, "cannot write");
  const Cleanup cleanup{temporary};
  fill(temporary);
  sync_folder(temporary);
  if (fs::exists(fs::symlink_status(target, error))) {
    fs::remove_all(replaced, error);
    check(error, replaced, "cannot remove what an interrupted run left");
    fs::rename(target, replaced, error);
    check(error, target, "cannot replace");
  }
  fs::rename(temporary, target, error);
  check(error, target, "cannot put in place");
  sync_folder(target.has_parent_path() ? target.parent_path() : ".");
  fs::remove_all(replaced, error);
  check(error, replaced, "cannot remove");
}

}  // namespace prospect
