#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "engine/digest.h"
#include "engine/file_system.h"
#include "model/parameters.h"

namespace prospect {

/// A language model in memory: what it is, its weights, and how they were stored.
struct Model {
  ModelConfig config;
  Parameters parameters;
  /// The dtype the weights came in and leave in: "F32", "F16", "BF16" or, for tests, "F64". F32
  /// where the tensors of a file differ or are quantised; the vectors of a GGUF do not count, as they are
  /// always F32.
  std::string stored_dtype = "F32";
};

struct LoadOptions {
  DType dtype = DType::F32;
  bool trainable = false;  ///< with a gradient arena
};

/// The config alone of a Hugging Face folder or a .gguf file. Throws: as load_model.
ModelConfig load_config(const std::filesystem::path& path);

/// Reads a Hugging Face folder or a .gguf file.
/// Throws: Error(MissingInput) without it, Error(BadData) `file: tensor or key: reason` for a file that is
/// not sound or contradicts its config, or an architecture this program does not have.
Model load_model(const std::filesystem::path& path, const LoadOptions& options, const Device& device);

/// The hash of config and weights as they are stored: models of one digest are the same function. Reads every
/// byte, at the speed of memory. Throws: as load_model.
Hash128 model_digest(const std::filesystem::path& path);

/// The files that save_model takes over from a model's folder as they are: tokenizer, chat template and the
/// like. Throws: Error(BadData) `file: reason` for one that is a link out of the folder (model/own_file.h),
/// is no regular file, or has more than kMostTextBytes. A .gguf file has none.
void require_side_files(const std::filesystem::path& source);

/// Writes config.json (last, so that a folder cut short is no model) and model.safetensors (with an index
/// beyond 5 GB) into an existing folder. The tokenizer files are those of `source`, byte for byte; a .gguf
/// source has them made from its own. Throws: Error(IoFailure); as require_side_files.
void save_model(const FileSystem& system, const Model& model, const std::filesystem::path& folder,
                const std::filesystem::path& source);

}  // namespace prospect
