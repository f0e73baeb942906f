#pragma once

#include <filesystem>
#include <functional>

namespace prospect {

/// Fills a folder under a temporary name beside `folder` and renames it when `fill` has returned, in place of
/// an earlier one. If `fill` throws, nothing is left and an earlier folder stays as it was. Throws:
/// Error(IoFailure).
void write_folder(const std::filesystem::path& folder,
                  const std::function<void(const std::filesystem::path& temporary)>& fill);

}  // namespace prospect
