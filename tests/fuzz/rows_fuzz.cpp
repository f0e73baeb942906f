#include "tests/fuzz/harness.h"
#include "train/rows.h"

// Feedback and prompts, JSONL.
using namespace prospect;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  const fuzz::MemoryFile file(text);
  fuzz::loads_or_refuses(file.path(), [&] {
    const std::vector<Row> rows = read_rows(file.path());
    fuzz::promise(!rows.empty(), "no rows, and no refusal");
    int64_t line = 1;
    for (const Row& row : rows) {
      fuzz::promise(row.line >= line, "lines run backwards");
      fuzz::promise(!row.completion.empty(), "an empty completion");
      fuzz::promise(row.prompt.size() + row.completion.size() <= size, "a row larger than the file");
      line = row.line;
    }
  });
  fuzz::loads_or_refuses(file.path(), [&] { read_rows(file.path(), {.label_required = false}); });
  fuzz::loads_or_refuses(file.path(), [&] { read_prompts(file.path()); });
  return 0;
}
