#include "train/skipped_rows.h"

#include <algorithm>
#include <set>

#include "engine/digest.h"
#include "engine/files.h"
#include "kernels/common/check.h"

namespace prospect {

namespace {

/// A line with `chosen` and `rejected` holds two examples.
std::set<int64_t> lines_of(const Corpus& corpus, std::span<const int64_t> examples) {
  std::set<int64_t> lines;
  for (const int64_t example : examples) {
    lines.insert(corpus.examples.list[static_cast<size_t>(example)].line);
  }
  return lines;
}

}  // namespace

std::string name_rows(const Corpus& corpus, std::span<const int64_t> examples) {
  constexpr size_t kMostNamed = 5;
  const std::set<int64_t> lines = lines_of(corpus, examples);
  const std::string file = std::filesystem::path(corpus.data).filename().string();
  std::string text;
  size_t named = 0;
  for (const int64_t line : lines) {
    if (named == kMostNamed) break;
    text += fmt::format("{}{}:{}", named == 0 ? "" : ", ", file, line);
    ++named;
  }
  if (lines.size() > named) text += fmt::format(" and {} more", lines.size() - named);
  return text;
}

void copy_rows(const FileSystem& system, const Corpus& corpus, std::span<const int64_t> examples,
               const std::filesystem::path& path) {
  const MappedFile data(corpus.data, system);
  if (hash64(data.bytes()) != corpus.digest) {
    fail(ExitCode::BadData, "{}: has changed since the run began", corpus.data);
  }
  const std::set<int64_t> lines = lines_of(corpus, examples);
  const std::string_view text = data.text();
  std::string copied;
  int64_t line = 1;
  for (size_t begin = 0; begin < text.size() && line <= *lines.rbegin(); ++line) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    if (lines.contains(line)) copied.append(text.substr(begin, end - begin)).append("\n");
    begin = end + 1;
  }
  make_folders(system, folder_of(path));
  write_atomically(system, path, copied);
}

}  // namespace prospect
