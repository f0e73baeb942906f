#pragma once

#include <filesystem>
#include <functional>

#include "engine/file_system.h"

namespace prospect {

/// Fills a folder under a temporary name beside `folder` and renames it when `fill` has returned, in place of
/// an earlier one. If `fill` throws or the folder cannot be put in place, nothing is left and an earlier
/// folder stays as it was; a crash at the wrong moment leaves that one beside it as FOLDER.replaced. Throws:
/// Error(IoFailure).
void write_folder(const FileSystem& system, const std::filesystem::path& folder,
                  const std::function<void(const std::filesystem::path& temporary)>& fill);

}  // namespace prospect
