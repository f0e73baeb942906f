#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "engine/file_system.h"
#include "train/corpus.h"

namespace prospect {

/// Which rows examples are, by file and line: "rows.jsonl:4, rows.jsonl:9 and 30 more".
std::string name_rows(const Corpus& corpus, std::span<const int64_t> examples);

/// Copies the lines of these examples from the corpus' file into `path`, as they stand there and in that
/// order, each once: a data file that repeats what they did. Throws: Error(IoFailure); Error(MissingInput) or
/// Error(BadData) if the file is gone or is another by now.
void copy_rows(const FileSystem& system, const Corpus& corpus, std::span<const int64_t> examples,
               const std::filesystem::path& path);

}  // namespace prospect
