#include "model/safetensors.h"
#include "tests/fuzz/harness.h"

// model.safetensors.index.json beside two sound shards, and beside a link that leaves the folder.
using namespace prospect;

namespace {

struct Folder {
  Folder() {
    outside.write("secret.safetensors", shard("secret"));
    inside.write("1.safetensors", shard("a"));
    inside.write("2.safetensors", shard("b"));
    std::filesystem::create_symlink(outside.path() / "secret.safetensors",
                                    inside.path() / "link.safetensors");
  }
  /// A file of one tensor of no dimensions.
  static std::string shard(const std::string& name) {
    const std::string header = "{\"" + name + R"(":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})";
    return std::string(1, static_cast<char>(header.size())) + std::string(7, '\0') + header + "x";
  }
  fuzz::MemoryFolder inside, outside;
};

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Folder folder;
  folder.inside.write("model.safetensors.index.json", fuzz::text_of(data, size));
  fuzz::loads_or_refuses(folder.inside.path().string(),
                         [&] {
                           for (const SafetensorsFile& file : open_safetensors_folder(folder.inside.path())) {
                             for (const StoredTensor& tensor : file.tensors())
                               fuzz::promise(tensor.name != "secret", "reads what lies outside the folder");
                           }
                         },
                         {ExitCode::BadData, ExitCode::MissingInput});
  return 0;
}
