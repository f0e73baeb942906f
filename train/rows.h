#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace prospect {

/// One verdict: an answer to a prompt, and whether it was liked.
struct Row {
  std::string prompt, completion;
  bool label = true;
  int64_t line = 0;  ///< of its file, from 1
};

struct RowOptions {
  bool label_required = true;  ///< false for an objective that reads none: a missing label counts as true
};

/// Reads feedback from JSONL: {"prompt", "completion", "label"}, or {"prompt", "chosen", "rejected"}, of
/// which each becomes two rows, the chosen one first. One format a file; other keys are ignored; blank lines
/// and a byte order mark are skipped. A label is true, false, 1 or 0. An empty prompt is let through: whether
/// it has tokens is the tokenizer's affair. Throws: Error(MissingInput), Error(BadData) `file:line field:
/// reason` for the first line that is not such a row, or a file without rows.
std::vector<Row> read_rows(const std::filesystem::path& path, const RowOptions& options = {});

struct Prompt {
  std::string text;
  int64_t line = 0;
};

/// Reads the "prompt" of every line of a JSONL file; other keys are ignored. Throws: as read_rows.
std::vector<Prompt> read_prompts(const std::filesystem::path& path);

}  // namespace prospect
