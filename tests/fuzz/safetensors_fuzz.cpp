#include "model/model.h"
#include "model/safetensors.h"
#include "tests/fuzz/harness.h"

// A .safetensors file by itself, and as the weights of a small model, whose config is that of the seed.
using namespace prospect;

namespace {

constexpr std::string_view kConfig = R"({"model_type": "llama", "vocab_size": 3, "hidden_size": 8,
  "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "intermediate_size": 2,
  "max_position_embeddings": 4, "rms_norm_eps": 1e-5, "tie_word_embeddings": true})";

struct Folder {
  Folder() { memory.write("config.json", kConfig); }
  fuzz::MemoryFolder memory;
};

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Folder in;
  const fuzz::MemoryFolder& folder = in.memory;
  folder.write("model.safetensors", fuzz::text_of(data, size));
  const std::string path = folder.path() / "model.safetensors";
  const bool good = fuzz::loads_or_refuses(path, [&] {
    const SafetensorsFile file(path);
    size_t total = 0;
    for (const StoredTensor& tensor : file.tensors()) {
      total += tensor.bytes.size();
      fuzz::promise(file.find(tensor.name) == &tensor, "a tensor that is not found by its name");
      if (tensor.type == StoredType::Other) continue;
      const auto count = static_cast<size_t>(element_count(tensor.shape));
      fuzz::promise(count <= size, "more elements than bytes");
      std::vector<float> values(count);
      decode<float>(tensor, 0, values);
    }
    fuzz::promise(total < size, "tensors larger than the file");
  });
  if (!good) return 0;
  fuzz::loads_or_refuses(folder.path().string(), [&] { load_model(folder.path(), {}, Device::cpu()); });
  return 0;
}
