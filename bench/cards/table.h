#pragma once

#include <string>
#include <vector>

namespace prospect::bench {

/// A table of text with a line of names first, columns parted by tabs; lines that begin with # before it.
struct Table {
  std::vector<std::string> comments;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;

  /// Throws Error where a row has another number of cells, or there is no file.
  static Table read(const std::string& path);
  void write(const std::string& path) const;
  /// Where the rows are told apart by their first `keys` cells: what differs, one line each. Numbers may
  /// differ by `tolerance` of the larger one, what is no number not at all.
  std::vector<std::string> differences(const Table& fresh, size_t keys, double tolerance) const;
};

}  // namespace prospect::bench
