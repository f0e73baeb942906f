#include <algorithm>
#include <array>
#include <map>

#include "engine/files.h"
#include "kernels/common/check.h"
#include "model/config_json.h"
#include "model/gguf_model.h"
#include "model/gguf_tokenizer.h"
#include "model/model.h"
#include "model/own_file.h"
#include "model/safetensors.h"
#include "model/weights.h"

namespace prospect {

namespace {

/// What a user of the folder needs beside config and weights, as it came.
constexpr std::array kCopiedFiles = {
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json",
    "merges.txt",     "added_tokens.json",     "chat_template.jinja",     "generation_config.json"};
constexpr int64_t kMostConfigBytes = 256 << 10;

/// Everything is checked against everything before the arena is allocated.
Model assemble(ModelConfig config, const StoredWeights& weights, const std::string& source, bool from_gguf,
               const LoadOptions& options, const Device& device) {
  std::vector<ParameterSpec> specs = parameter_layout(config);
  const auto matched = match_weights(config, specs, weights, source);
  Model model{std::move(config), Parameters(std::move(specs), options.dtype, device, options.trainable),
              common_dtype(matched, from_gguf)};
  read_weights(matched, model.parameters);
  return model;
}

ModelConfig load_folder_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "config.json";
  return config_from_json(read_text(path, kMostConfigBytes), path.string());
}

void require_model(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) fail(ExitCode::MissingInput, "{}: no such model", path.string());
}

/// A model where it lies: its config, and its weights in mapped files.
struct StoredModel {
  ModelConfig config;
  StoredWeights weights;
  std::vector<SafetensorsFile> folder;
  std::optional<GgufFile> gguf;
};

StoredModel open_model(const std::filesystem::path& path) {
  require_model(path);
  StoredModel stored;
  if (std::filesystem::is_directory(path)) {
    stored.config = load_folder_config(path);
    stored.folder = open_safetensors_folder(path);
    for (const SafetensorsFile& file : stored.folder) {
      for (const StoredTensor& tensor : file.tensors()) stored.weights[tensor.name] = tensor;
    }
  } else {
    GgufModel model = read_gguf_model(stored.gguf.emplace(path));
    stored.config = std::move(model.config);
    stored.weights = std::move(model.weights);
  }
  return stored;
}

/// Rows [begin, end) of a part, as it is kept.
template <class T>
void encode_rows(const Tensor& part, int64_t begin, int64_t end, StoredType type, std::byte* out) {
  const int64_t columns = part.count() / part.size(0);
  const auto count = static_cast<size_t>((end - begin) * columns);
  encode(std::span<const T>(part.data<T>() + begin * columns, count), type, out);
}

/// Columns [begin, end) of a part, each as a row of the file.
template <class T>
void encode_columns(const Tensor& part, int64_t begin, int64_t end, StoredType type, std::byte* out) {
  const int64_t rows = part.size(0), columns = part.size(1);
  const T* values = part.data<T>();
  std::vector<T> transposed(static_cast<size_t>((end - begin) * rows));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = begin; column < end; ++column) {
      transposed[static_cast<size_t>((column - begin) * rows + row)] = values[row * columns + column];
    }
  }
  encode(std::span<const T>(transposed), type, out);
}

std::vector<TensorSource> tensor_sources(const Model& model) {
  const StoredType type = plain_type(model.stored_dtype);
  std::vector<TensorSource> sources;
  for (size_t i = 0; i < model.parameters.specs().size(); ++i) {
    const ParameterSpec& spec = model.parameters.specs()[i];
    for (size_t p = 0; p < spec.parts.size(); ++p) {
      const Tensor part = model.parameters.part(i, p);
      const bool transposed = spec.parts[p].transposed;
      Shape shape = spec.parts[p].shape;
      if (transposed) std::reverse(shape.begin(), shape.end());
      const auto rows = [part, transposed, type](int64_t begin, int64_t end, std::byte* out) {
        with_dtype(part.dtype(), [&]<class T>() {
          transposed ? encode_columns<T>(part, begin, end, type, out)
                     : encode_rows<T>(part, begin, end, type, out);
        });
      };
      sources.push_back({spec.parts[p].name, type, std::move(shape), rows});
    }
  }
  return sources;
}

/// What is not read as a model goes into every model made from it: it must be the folder's own.
std::map<std::string, std::string> read_side_files(const std::filesystem::path& folder,
                                                   const FileSystem& system) {
  std::map<std::string, std::string> texts;
  for (const char* name : kCopiedFiles) {
    if (!std::filesystem::exists(folder / name)) continue;
    if (!is_own_file(folder, name)) {
      fail(ExitCode::BadData, "{}: is a link that leads out of this folder; put a copy in its place",
           (folder / name).string());
    }
    texts[name] = read_text(folder / name, kMostTextBytes, system);
  }
  return texts;
}

void write_tokenizer(const FileSystem& system, const std::filesystem::path& source,
                     const std::filesystem::path& folder) {
  if (source.empty()) return;
  if (std::filesystem::is_regular_file(source)) {
    const GgufTokenizer tokenizer = read_gguf_tokenizer(GgufFile(source));
    write_atomically(system, folder / "tokenizer.json", tokenizer_json_from_gguf(tokenizer));
    write_atomically(system, folder / "tokenizer_config.json", tokenizer_config_from_gguf(tokenizer));
    return;
  }
  std::error_code ignored;
  if (std::filesystem::equivalent(source, folder, ignored)) return;
  for (const auto& [name, text] : read_side_files(source, system)) {
    write_atomically(system, folder / name, text);
  }
}

}  // namespace

ModelConfig load_config(const std::filesystem::path& path) {
  require_model(path);
  return std::filesystem::is_directory(path) ? load_folder_config(path)
                                             : read_gguf_model(GgufFile(path)).config;
}

Model load_model(const std::filesystem::path& path, const LoadOptions& options, const Device& device) {
  StoredModel stored = open_model(path);
  return assemble(std::move(stored.config), stored.weights, path.string(), stored.gguf.has_value(), options,
                  device);
}

Hash128 model_digest(const std::filesystem::path& path) {
  const StoredModel stored = open_model(path);
  Digest digest;
  digest.add(config_to_json(stored.config, stored.config.stored_dtype));
  for (const auto& [name, tensor] : stored.weights) {
    digest.add(name).add(tensor.type_name).add(to_string(tensor.shape)).add(tensor.bytes);
    digest.add(std::to_string(tensor.interleaved_heads));
  }
  return digest.value();
}

void require_side_files(const std::filesystem::path& source) {
  if (std::filesystem::is_directory(source)) read_side_files(source, {});
}

void save_model(const FileSystem& system, const Model& model, const std::filesystem::path& folder,
                const std::filesystem::path& source) {
  write_tokenizer(system, source, folder);
  write_safetensors_folder(system, folder, tensor_sources(model));
  // Last: a folder without it is no model, so one that was cut short is not taken for one.
  write_atomically(system, folder / "config.json", config_to_json(model.config, model.stored_dtype));
}

}  // namespace prospect
