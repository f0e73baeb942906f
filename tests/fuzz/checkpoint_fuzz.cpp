#include "train/checkpoint.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/fuzz/harness.h"

// A checkpoint's manifest as it is, and with the checksum that belongs to it, beside sound files.
using namespace prospect;

namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kStep = 3;

std::vector<NamedTensor> tensors() {
  return {{"values", Tensor::from(std::vector<float>{1, 2, 3, 4}, {2, 2}, Device::cpu())}};
}

struct Folder {
  Folder() { save_checkpoint({}, memory.path(), kStep, "{}", tensors(), 1); }
  fuzz::MemoryFolder memory;
};

void load(std::string_view manifest) {
  static const Folder folder;
  const std::string name = "step-00000003";
  folder.memory.write(name + "/manifest.json", manifest);
  fuzz::loads_or_refuses(
      name,
      [&] {
        const Checkpoint checkpoint(folder.memory.path() / name);
        fuzz::promise(checkpoint.step() == kStep, "another step");
        fuzz::promise(checkpoint.state() == "{}", "another state");
        const std::vector<NamedTensor> loaded{{"values", Tensor::zeros({2, 2}, DType::F32, Device::cpu())}};
        checkpoint.load(loaded);
        fuzz::promise(to_doubles(loaded[0].tensor) == std::vector<double>{1, 2, 3, 4}, "other values");
      },
      {ExitCode::BadData, ExitCode::MissingInput});
}

/// The text as a manifest is written, with its checksum; empty for one that is no JSON object.
std::string with_checksum(std::string_view text) {
  constexpr std::ptrdiff_t kMostBrackets = 1000;  // writing JSON recurses
  if (std::count(text.begin(), text.end(), '[') + std::count(text.begin(), text.end(), '{') > kMostBrackets)
    return "";
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return "";
  json.erase("xxh3_128");
  const std::string content = json.dump();
  json["xxh3_128"] = checksum(std::as_bytes(std::span(content)));
  return json.dump(1) + "\n";
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  load(text);
  load(with_checksum(text));
  return 0;
}
