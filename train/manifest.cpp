#include "train/manifest.h"

#include <nlohmann/json.hpp>

#include "engine/digest.h"
#include "kernels/common/check.h"

namespace prospect {

namespace {

/// To write: members in our order, found one by one. To read what anybody wrote: found in a tree.
using OrderedJson = nlohmann::ordered_json;
using Json = nlohmann::json;

constexpr int64_t kFormat = 1;

OrderedJson to_json(const Manifest& manifest) {
  OrderedJson files = OrderedJson::array();
  for (const ManifestFile& file : manifest.files) {
    OrderedJson entry{{"name", file.name}, {"bytes", file.bytes}, {"xxh3_128", file.checksum}};
    if (!file.dtype.empty()) {
      entry["dtype"] = file.dtype;
      entry["shape"] = file.shape;
    }
    files.push_back(std::move(entry));
  }
  return OrderedJson{{"format", kFormat}, {"step", manifest.step}, {"files", std::move(files)}};
}

/// Conversions of other numbers would be silent. A value too large wraps and fails the comparison of texts.
int64_t integer(const Json& value) {
  return value.is_number_integer() ? value.get<int64_t>() : -1;
}

ManifestFile file_of(const Json& entry) {
  ManifestFile file{.name = entry.at("name").get<std::string>(),
                    .bytes = integer(entry.at("bytes")),
                    .checksum = entry.at("xxh3_128").get<std::string>(),
                    .dtype = {},
                    .shape = {}};
  if (entry.contains("dtype")) {
    file.dtype = entry.at("dtype").get<std::string>();
    for (const Json& size : entry.at("shape")) file.shape.push_back(integer(size));
  }
  return file;
}

bool is_bare(std::string_view name) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !name.empty() && name.front() != '.' && name.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace

std::string checksum(std::span<const std::byte> bytes) {
  return hash128(bytes).hex();
}

std::string Manifest::to_text() const {
  OrderedJson json = to_json(*this);
  const std::string content = json.dump();
  json["xxh3_128"] = checksum(std::as_bytes(std::span(content)));
  return json.dump(1) + "\n";
}

Manifest Manifest::from_text(std::string_view text, const std::string& source) {
  Manifest manifest;
  try {
    const Json json = Json::parse(text);
    const int64_t format = integer(json.at("format"));
    if (format != kFormat) {
      fail(ExitCode::BadData, "{} format: is {}, this program reads {}", source, format, kFormat);
    }
    manifest.step = integer(json.at("step"));
    for (const Json& entry : json.at("files")) manifest.files.push_back(file_of(entry));
  } catch (const nlohmann::json::exception& error) {
    fail(ExitCode::BadData, "{}: is not a manifest: {}", source, error.what());
  }
  for (const ManifestFile& file : manifest.files) {
    if (!is_bare(file.name))
      fail(ExitCode::BadData, "{}: names a file that cannot be one of its own", source);
  }
  if (manifest.to_text() != text) fail(ExitCode::BadData, "{}: was changed after it was written", source);
  return manifest;
}

}  // namespace prospect
