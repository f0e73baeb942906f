#include "train/output_folder.h"

#include "engine/files.h"
#include "kernels/common/error.h"

namespace prospect {

namespace {

namespace fs = std::filesystem;

/// Removes a folder, unless it has been renamed away, without a word: another error is on its way.
struct Cleanup {
  const FileSystem& system;
  const fs::path& folder;
  ~Cleanup() {
    try {
      remove_path(system, folder);
    } catch (const Error&) {  // The next run removes it.
    }
  }
};

/// Where `from` cannot take the place of `target`, what stood there is put back.
void put_in_place(const FileSystem& system, const fs::path& from, const fs::path& target,
                  const fs::path& replaced, bool stood) {
  try {
    rename_path(system, from, target);
  } catch (const Error&) {
    if (stood) system.rename(replaced, target);
    throw;
  }
}

}  // namespace

void write_folder(const FileSystem& system, const fs::path& folder,
                  const std::function<void(const fs::path&)>& fill) {
  // "run/model/" and "run/model" are one folder.
  const fs::path target = folder.has_filename() ? folder : folder.parent_path();
  fs::path temporary = target, replaced = target;
  temporary += ".partial";
  replaced += ".replaced";
  remove_path(system, temporary);  // what an interrupted run left
  make_folders(system, temporary);
  const Cleanup cleanup{system, temporary};
  fill(temporary);
  sync_folder(system, temporary);
  std::error_code ignored;
  const bool stands = fs::exists(fs::symlink_status(target, ignored));
  if (stands) {
    remove_path(system, replaced);
    rename_path(system, target, replaced);
  }
  put_in_place(system, temporary, target, replaced, stands);
  sync_folder(system, folder_of(target));
  remove_path(system, replaced);
}

}  // namespace prospect
