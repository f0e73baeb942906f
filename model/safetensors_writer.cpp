#include <algorithm>

#include "kernels/common/parallel.h"
#include "model/json_text.h"
#include "model/safetensors.h"

namespace prospect {

namespace {

using Json = nlohmann::ordered_json;

int64_t row_bytes(const TensorSource& tensor) {
  const int64_t rows = tensor.shape.empty() ? 1 : tensor.shape[0];
  const int64_t bytes = element_count(tensor.shape) * stored_type_info(tensor.type).block_bytes;
  return rows == 0 ? 0 : bytes / rows;
}

int64_t byte_count(const TensorSource& tensor) {
  return element_count(tensor.shape) * stored_type_info(tensor.type).block_bytes;
}

/// Wide types first, so that every tensor is aligned to its type; then by name.
void sort_for_file(std::vector<TensorSource>& tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorSource& a, const TensorSource& b) {
    const int64_t wide_a = stored_type_info(a.type).block_bytes,
                  wide_b = stored_type_info(b.type).block_bytes;
    return wide_a != wide_b ? wide_a > wide_b : a.name < b.name;
  });
}

std::string header_of(const std::vector<TensorSource>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::string header = "{";
  if (!metadata.empty()) header += "\"__metadata__\":" + Json(metadata).dump();
  int64_t offset = 0;
  for (const TensorSource& tensor : tensors) {
    Json entry;
    entry["dtype"] = stored_type_info(tensor.type).name;
    entry["shape"] = tensor.shape;
    entry["data_offsets"] = {offset, offset + byte_count(tensor)};
    offset += byte_count(tensor);
    if (header.size() > 1) header += ',';
    header += fmt::format("{}:{}", Json(tensor.name).dump(), entry.dump());
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

/// A buffer at a time, which all threads fill.
void write_tensor(AtomicFile& file, const TensorSource& tensor, std::vector<std::byte>& buffer) {
  constexpr int64_t kBufferBytes = 16 << 20, kPieceBytes = 1 << 20;
  const int64_t rows = tensor.shape.empty() ? 1 : tensor.shape[0], bytes = row_bytes(tensor);
  if (rows == 0 || bytes == 0) return;
  const int64_t step = std::max<int64_t>(1, kBufferBytes / bytes);
  const int64_t piece = std::max<int64_t>(1, kPieceBytes / bytes);
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t count = std::min(rows - begin, step);
    buffer.resize(static_cast<size_t>(count * bytes));
    const auto fill = [&](int64_t i) {
      const int64_t first = i * piece, last = std::min(count, first + piece);
      tensor.rows(begin + first, begin + last, buffer.data() + first * bytes);
    };
    count <= piece ? fill(0) : parallel_for((count + piece - 1) / piece, fill);
    file.write(buffer);
  }
}

void require_absent(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return;
  fail(ExitCode::IoFailure, "{}: stands where a model of another form is to be written; remove it first",
       path.string());
}

}  // namespace

void write_safetensors(const FileSystem& system, const std::filesystem::path& path,
                       std::vector<TensorSource> tensors,
                       const std::map<std::string, std::string>& metadata) {
  sort_for_file(tensors);
  const std::string header = header_of(tensors, metadata);
  const uint64_t length = header.size();
  AtomicFile file(system, path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(header);
  std::vector<std::byte> buffer;
  for (const TensorSource& tensor : tensors) write_tensor(file, tensor, buffer);
  file.commit();
}

void write_safetensors_folder(const FileSystem& system, const std::filesystem::path& folder,
                              std::vector<TensorSource> tensors, int64_t shard_bytes) {
  const std::map<std::string, std::string> metadata = {{"format", "pt"}};
  sort_for_file(tensors);
  std::vector<std::vector<TensorSource>> shards;
  int64_t in_shard = 0, total = 0;
  for (TensorSource& tensor : tensors) {
    const int64_t bytes = byte_count(tensor);
    if (shards.empty() || in_shard + bytes > shard_bytes) {
      shards.emplace_back();
      in_shard = 0;
    }
    in_shard += bytes;
    total += bytes;
    shards.back().push_back(std::move(tensor));
  }
  const std::filesystem::path single = folder / "model.safetensors";
  const std::filesystem::path index_path = folder / "model.safetensors.index.json";
  if (shards.size() <= 1) {
    require_absent(index_path);
    return write_safetensors(system, single,
                             shards.empty() ? std::vector<TensorSource>() : std::move(shards[0]), metadata);
  }
  require_absent(single);
  Json index;
  index["metadata"]["total_size"] = total;
  std::map<std::string, std::string> files;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    for (const TensorSource& tensor : shards[i]) files[tensor.name] = name;
    write_safetensors(system, folder / name, std::move(shards[i]), metadata);
  }
  index["weight_map"] = files;
  write_atomically(system, index_path, index.dump(2) + "\n");
}

}  // namespace prospect
