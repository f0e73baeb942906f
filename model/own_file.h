#pragma once

#include <filesystem>
#include <string>

namespace prospect {

/// A model's folder may come from anybody, with links in it that lead to the files of whoever reads it. False
/// for such a link; true for a file of the folder, and for a link to one, or to a file of the store of the
/// Hugging Face cache that the folder belongs to: REPOSITORY/snapshots/REVISION links to REPOSITORY/blobs.
/// True also where there is no such file.
inline bool is_own_file(const std::filesystem::path& folder, const std::string& name) {
  namespace fs = std::filesystem;
  std::error_code missing;
  const fs::path home = fs::canonical(folder, missing), file = fs::canonical(folder / name, missing);
  if (missing || file.parent_path() == home) return true;
  const fs::path snapshots = home.parent_path();
  return snapshots.filename() == "snapshots" && file.parent_path() == snapshots.parent_path() / "blobs";
}

}  // namespace prospect
