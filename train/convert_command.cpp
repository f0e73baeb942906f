#include <fmt/core.h>

#include "engine/files.h"
#include "model/model.h"
#include "train/commands.h"
#include "train/output_folder.h"

namespace prospect {

void run_convert(const ConvertOptions& options, const FileSystem& system) {
  if (std::filesystem::exists(options.out)) {
    fail(ExitCode::IoFailure, "{}: exists already; name a folder that does not", options.out);
  }
  const Model model = load_model(options.model, {}, Device::cpu());
  write_folder(system, options.out, [&](const std::filesystem::path& folder) {
    save_model(system, model, folder, options.model);
  });
  fmt::print("{}: {} parameters, {} layers, stored as {}\n", options.out, model.parameters.count(),
             model.config.layers, model.stored_dtype);
}

}  // namespace prospect
