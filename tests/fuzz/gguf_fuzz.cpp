#include "model/gguf.h"

#include "model/gguf_tokenizer.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "tests/fuzz/harness.h"

// A .gguf file: its keys and tensors, the model in it, and its tokenizer.
using namespace prospect;

namespace {

void read_all(const GgufFile& file, size_t size) {
  size_t total = 0;
  for (const StoredTensor& tensor : file.tensors()) {
    total += tensor.bytes.size();
    const auto count = static_cast<size_t>(element_count(tensor.shape));
    fuzz::promise(count <= 2 * size, "more elements than half-bytes");
    std::vector<float> values(count);
    decode<float>(tensor, 0, values);
  }
  fuzz::promise(total < size, "tensors larger than the file");
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::MemoryFile content(fuzz::text_of(data, size));
  const std::string& path = content.path();
  const bool good = fuzz::loads_or_refuses(path, [&] { read_all(GgufFile(path), size); });
  if (!good) return 0;
  fuzz::loads_or_refuses(path, [&] { load_model(path, {}, Device::cpu()); });
  fuzz::loads_or_refuses(path, [&] {
    const GgufTokenizer imported = read_gguf_tokenizer(GgufFile(path));
    const Tokenizer tokenizer = Tokenizer::from_json(tokenizer_json_from_gguf(imported), imported.source,
                                                     tokenizer_config_from_gguf(imported));
    for (const int32_t id : tokenizer.encode("Hello,  w\xC3\xB6rld 123\n"))
      fuzz::promise(id >= 0 && id < tokenizer.size(), "an id that no token has");
  });
  return 0;
}
